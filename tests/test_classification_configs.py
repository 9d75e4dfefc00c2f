"""Every recipe for classification parses, builds, runs, and has the papers' values."""
import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper

from mim_plugins.registry import DATASETS, HOOKS, MODELS

from .recipes import CONFIGS, on_meta, one_per_model, parsed, read
from .test_configs import LEAVES, rates

RECIPES = sorted(path.relative_to(CONFIGS).as_posix() for path in CONFIGS.glob('*/benchmarks/*.py')
                 if re.search('_(ft|linear|few-shot)_', path.name))


def build(cfg: Config) -> torch.nn.Module:
    return MODELS.build({**cfg.model, 'data_preprocessor': cfg.data_preprocessor})


def size_of(cfg: Config) -> int:
    return cfg.train_dataloader.dataset.pipeline[1].scale


def faults_of_card(name: str) -> list[str]:
    """Return what a recipe's card lacks, or says otherwise than the config and the file's name."""
    text, cfg = (CONFIGS / name).read_text(), parsed(name)
    card, body = text.removeprefix('"""').split('"""\n', 1)
    stated = re.search(r'(\d+) GPUs x (\d+) = (\d+);', card)
    arithmetic = re.search(r'lr = (\S+) x (\d+) / 256 = (\S+)', card)
    if not stated or not arithmetic:
        return ['the card states the batch and the learning rate']
    gpus, per, batch = map(int, stated.groups())
    base, again, lr = map(float, arithmetic.groups())
    nodes = re.search(r'NNODES=(\d+)', card)
    epochs, warmup, main = cfg.train_cfg.max_epochs, cfg.param_scheduler[0], cfg.param_scheduler[-1]
    rate = cfg.optim_wrapper.optimizer.lr
    checks = {
        'the command names the file': f'configs/{name} ' in card,
        'the result is given': 'Result:' in card,
        'the recipe has at most 40 lines': len(body.splitlines()) <= 40,
        'the batch is that of the config': gpus * per == batch == again == cfg.auto_scale_lr.base_batch_size,
        'the batch of a GPU is that of the config': cfg.train_dataloader.batch_size == per,
        'the name has the GPUs and their batch': f'_{gpus}xb{per}-amp-' in name,
        'the learning rate is that of the config': rate == pytest.approx(lr) and rate == base * batch / 256,
        'the GPUs are those of the nodes': gpus == 8 * int(nodes[1] if nodes else 1),
        'the name has the epochs': f'-{epochs}e_' in name,
        'the schedule ends with the training': main.end == epochs,
        'the last schedule begins after the warmup': main.begin == warmup.end,
        'the cosine takes what the warmup leaves': main.T_max == epochs - warmup.end,
        'the name has the size of the images': name.endswith(f'-{size_of(cfg)}.py'),
    }
    return [rule for rule, kept in checks.items() if not kept]


def test_recipes_have_a_card_and_fitting_arithmetic():
    faults = {name: faults_of_card(name) for name in RECIPES}
    assert {name: found for name, found in faults.items() if found} == {}


def test_the_weights_come_from_a_pre_training_recipe():
    wrong = {}
    for name in RECIPES:
        hook = parsed(name).default_hooks.encoder
        stem, epoch = re.fullmatch(r'work_dirs/(.+)/epoch_(\d+)\.pth', hook.checkpoint).groups()
        epochs = [parsed(leaf).train_cfg.max_epochs for leaf in LEAVES if Path(leaf).stem == stem]
        found = (epochs, hook.type, hook.coverage)
        if found != ([int(epoch)], 'mim_plugins.LoadEncoderHook', .95):
            wrong[name] = (*found, hook.checkpoint)
    assert wrong == {}


def test_pipelines_and_hooks_build():
    wrong = {}
    for name in RECIPES:
        cfg = read(name)
        for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
            dataset = DATASETS.build({**loader.dataset, 'lazy_init': True})
            assert dataset.pipeline.transforms, name
        assert all(HOOKS.build(hook) for hook in cfg.default_hooks.values() if hook.type.startswith('mim_plugins.'))
        _, resize, crop, _ = cfg.val_dataloader.dataset.pipeline
        found = (resize.scale, crop.crop_size, cfg.test_dataloader == cfg.val_dataloader)
        if found != (size_of(cfg) * 256 // 224, size_of(cfg), True):
            wrong[name] = found
    assert wrong == {}


@pytest.mark.parametrize('name', one_per_model(RECIPES))
def test_classifier_builds_and_runs(name):
    cfg = read(name)
    size, classes = size_of(cfg), cfg.model.head.num_classes
    assert cfg.data_preprocessor.num_classes == classes
    with on_meta(), torch.no_grad():
        model = build(cfg).eval()
        assert model(torch.zeros(1, 3, size, size)).shape[-1] == classes
    settings = {key: cfg.optim_wrapper[key] for key in ('optimizer', 'constructor', 'paramwise_cfg')
                if key in cfg.optim_wrapper}
    groups = build_optim_wrapper(model, settings).optimizer.param_groups
    assert sum(len(group['params']) for group in groups) == sum(p.requires_grad for p in model.parameters())


# Base learning rate, batch, layer decay, epochs, warmup, drop path and window of the papers.
@pytest.mark.parametrize('name, base, batch, decay, epochs, warmup, drop_path, window', [
    ('fastmim/benchmarks/fastmim_vit-base_ft_8xb128-amp-100e_in1k-224', 1e-3, 1024, .7, 100, 5, .1, None),
    ('fastmim/benchmarks/fastmim_swin-base_ft_8xb128-amp-100e_in1k-224', 1e-3, 1024, .8, 100, 5, .1, 7),
    ('fastmim/benchmarks/fastmim_swin-large_ft_16xb64-amp-100e_in1k-224', 1e-3, 1024, .75, 100, 5, .3, 14),
    ('fastmim/benchmarks/fastmim_pvtv2-b2_ft_8xb128-amp-200e_in1k-224', 1e-3, 1024, .8, 200, 5, .1, None),
    ('fastmim/benchmarks/fastmim_cmt-small_ft_8xb128-amp-200e_in1k-224', 1e-3, 1024, .8, 200, 5, .1, None),
    ('fastmim/benchmarks/fastmim_vit-large_ft_8xb128-amp-100e_in1k-224', 1e-3, 1024, .75, 100, 5, .2, None),
    ('fastmim/benchmarks/fastmim_twins-svt-large_ft_8xb128-amp-100e_in1k-224', 1e-3, 1024, .8, 100, 5, .3, None),
    ('fastmim/benchmarks/fastmim_pvt-large_ft_8xb128-amp-100e_in1k-224', 1e-3, 1024, .8, 100, 5, .3, None),
    ('fastmae/benchmarks/fastmae_vit-small_ft_8xb128-amp-100e_in1k-224', 5e-4, 1024, .65, 100, 5, .1, None),
    ('fastmae/benchmarks/fastmae_vit-base_ft_8xb128-amp-100e_in1k-224', 5e-4, 1024, .65, 100, 5, .1, None),
    ('simmim/benchmarks/simmim_vit-base_ft_16xb128-amp-100e_in1k-224', 6.25e-4, 2048, .65, 100, 10, .1, None),
    ('simmim/benchmarks/simmim_swin-base_ft_16xb128-amp-100e_in1k-192', 6.25e-4, 2048, .9, 100, 10, .1, 6),
    ('simmim/benchmarks/simmim_swin-base_ft_16xb128-amp-100e_in1k-224', 6.25e-4, 2048, .9, 100, 10, .1, 7),
    ('simmim/benchmarks/simmim_swin-base-800e_ft_16xb128-amp-100e_in1k-224', 6.25e-4, 2048, .8, 100, 10, .1, 7),
    ('simmim/benchmarks/simmim_swin-large_ft_16xb128-amp-100e_in1k-224', 6.25e-4, 2048, .75, 100, 10, .1, 14),
    ('simmim/benchmarks/simmim_swinv2-huge_ft_64xb32-amp-50e_in1k-224', 6.25e-4, 2048, .7, 50, 10, .1, None),
    ('simmim/benchmarks/simmim_swinv2-huge_ft_128xb16-amp-50e_in1k-512', 6.25e-4, 2048, .7, 50, 10, .1, None),
    ('simmim/benchmarks/simmim_swinv2-giant_ft_256xb8-amp-50e_in1k-640', 6.25e-4, 2048, .7, 50, 10, .1, None),
    ('mixmim/benchmarks/mixmim_mixmim-base_ft_8xb128-amp-100e_in1k-224', 5e-4, 1024, .7, 100, 5, .1, None),
    ('mixmim/benchmarks/mixmim_mixmim-large_ft_16xb64-amp-50e_in1k-224', 5e-4, 1024, .7, 50, 5, .2, None),
    ('mixmim/benchmarks/mixmim_mixmim-huge_ft_32xb32-amp-50e_in1k-224', 5e-4, 1024, .7, 50, 5, .3, None),
    ('mixmim/benchmarks/mixmim_vit-large_ft_16xb64-amp-50e_in1k-224', 5e-4, 1024, .7, 50, 5, .2, None),
    ('mixmim/benchmarks/mixmim_swin-large_ft_16xb64-amp-50e_in1k-224', 5e-4, 1024, .7, 50, 5, .2, 7),
    ('mixmim/benchmarks/mixmim_pvt-large_ft_8xb128-amp-50e_in1k-224', 5e-4, 1024, .7, 50, 5, .2, None),
    ('mixmim/benchmarks/mixmim_vit-base_ft_8xb128-amp-100e_in1k-224', 5e-4, 1024, .7, 100, 5, .1, None),
    ('mixmim/benchmarks/mixmim_swin-base_ft_8xb128-amp-100e_in1k-224', 5e-4, 1024, .7, 100, 5, .1, 7),
    ('pixmim/benchmarks/pixmim_vit-large_ft_16xb64-amp-100e_in1k-224', 1e-3, 1024, .75, 100, 5, .1, None),
    ('pixmim/benchmarks/pixmim-convmae_base_ft_8xb128-amp-100e_in1k-224', 1e-3, 1024, .75, 100, 5, .1, None),
    ('pixmim/benchmarks/pixmim-lsmae_vit-base_ft_16xb64-amp-100e_in1k-448', 1e-3, 1024, .75, 100, 5, .1, None),
    ('mae/benchmarks/mae_vit-base_ft_8xb128-amp-100e_in1k-224', 5e-4, 1024, .65, 100, 5, .1, None),
    ('mae/benchmarks/mff_vit-base_ft_8xb128-amp-100e_in1k-224', 5e-4, 1024, .65, 100, 5, .1, None),
    ('mae/benchmarks/convmae_base_ft_8xb128-amp-100e_in1k-224', 5e-4, 1024, .65, 100, 5, .1, None),
])
def test_fine_tuning_is_the_papers(name, base, batch, decay, epochs, warmup, drop_path, window):
    cfg = read(f'{name}.py')
    peak = base * batch / 256
    assert cfg.auto_scale_lr.base_batch_size == batch
    sharded = dict(type='mim_plugins.ShardedOptimizer', optimizer_type='AdamW')
    assert cfg.optim_wrapper.optimizer == dict(
        sharded if 'giant' in name else dict(type='AdamW'), lr=peak, betas=(.9, .999), weight_decay=.05, fused=True)
    assert cfg.optim_wrapper.paramwise_cfg == dict(layer_decay_rate=decay)
    assert cfg.optim_wrapper.get('clip_grad') == (dict(max_norm=5.) if batch == 2048 else None)
    assert cfg.model.backbone.drop_path_rate == drop_path and cfg.model.backbone.get('window_size') == window
    assert [dict(augment) for augment in cfg.model.train_cfg.augments] == [
        dict(type='Mixup', alpha=.8), dict(type='CutMix', alpha=1.)]
    assert cfg.model.head.loss == dict(type='LabelSmoothLoss', label_smooth_val=.1, mode='original')
    steps = {step.type: step for step in cfg.train_dataloader.dataset.pipeline}
    assert (steps['RandAugment'].magnitude_level, steps['RandAugment'].magnitude_std) == (9, .5)
    assert steps['RandomErasing'].erase_prob == .25 and steps['RandomResizedCrop'].interpolation == 'bicubic'
    found = rates(cfg)
    assert len(found) == epochs and found[0] < 2e-3 * peak and found[warmup] == pytest.approx(peak)
    assert found[(warmup + epochs) // 2] == pytest.approx(peak / 2, rel=.04) and found[-1] < peak / 100
    lowest = decay**25  # of the layers below the head of a deep encoder
    assert rates(cfg, share=lowest) == pytest.approx([lowest * rate for rate in found])


@pytest.mark.parametrize('name, lr, batch, epochs, warmup', [
    ('fastmae/benchmarks/fastmae_vit-base_linear_8xb2048-amp-90e_in1k-224', 6.4, 16384, 90, 10),
    ('pixmim/benchmarks/pixmim_vit-small_linear_8xb2048-amp-90e_in1k-224', 6.4, 16384, 90, 10),
    ('pixmim/benchmarks/pixmim-lsmae_vit-base_linear_16xb1024-amp-90e_in1k-448', 6.4, 16384, 90, 10),
    ('pixmim/benchmarks/pixmim-convmae_base_linear_8xb512-amp-90e_in1k-224', 1.6, 4096, 90, 10),
    ('mae/benchmarks/mff_vit-base_linear_8xb2048-amp-90e_in1k-224', 6.4, 16384, 90, 10),
    ('simmim/benchmarks/simmim_vit-base_linear_8xb2048-amp-100e_in1k-224', 6.4, 16384, 100, 5),
])
def test_linear_probing_is_the_papers(name, lr, batch, epochs, warmup):
    cfg = read(f'{name}.py')
    assert cfg.optim_wrapper.optimizer == dict(type='LARS', lr=lr, momentum=.9, weight_decay=0.)
    assert cfg.auto_scale_lr.base_batch_size == batch
    assert [step.type for step in cfg.train_dataloader.dataset.pipeline] == [
        'LoadImageFromFile', 'RandomResizedCrop', 'RandomFlip', 'PackInputs']
    found = rates(cfg)
    assert len(found) == epochs and found[warmup] == pytest.approx(lr) and found[-1] < lr / 100


# ConvMAE's position table is a buffer here.
@pytest.mark.parametrize('name, parameters', [
    ('fastmim/benchmarks/fastmim_cmt-small_ft_8xb128-amp-200e_in1k-224', 26_256_160),
    ('fastmim/benchmarks/fastmim_pvt-large_ft_8xb128-amp-100e_in1k-224', 61_369_320),
    ('fastmim/benchmarks/fastmim_pvtv2-b2_ft_8xb128-amp-200e_in1k-224', 25_362_856),
    ('fastmim/benchmarks/fastmim_twins-svt-large_ft_8xb128-amp-100e_in1k-224', 99_271_400),
    ('mae/benchmarks/convmae_base_ft_8xb128-amp-100e_in1k-224', 85_374_824 - 196 * 768),
])
def test_classifiers_have_the_published_number_of_parameters(name, parameters):
    assert sum(parameter.numel() for parameter in build(read(f'{name}.py')).parameters()) == parameters


def test_the_demo_changes_what_an_own_folder_needs():
    cfg = read('demo/transfer/fastmim_vit-micro_ft_demo.py')
    model = MODELS.build({**cfg.model, 'data_preprocessor': cfg.data_preprocessor})
    model.train(False)
    batch = model.data_preprocessor(dict(inputs=torch.full((1, 3, 32, 32), 255, dtype=torch.uint8)))
    assert batch['inputs'].max() < 3  # normalised
    with torch.no_grad():
        assert model(batch['inputs'], mode='tensor').shape == (1, 10)
    assert [step.type for step in cfg.train_dataloader.dataset.pipeline] == [
        'mim_plugins.LoadRGBImage', 'Resize', 'PackInputs']
