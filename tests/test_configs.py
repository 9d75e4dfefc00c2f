"""Every config parses and its model builds; the full-size ones have the papers' shapes."""
from collections import Counter
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.fileio import load
from mmengine.optim import build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS

from mim_plugins.registry import DATA_SAMPLERS, DATASETS, HOOKS, MODELS

from .recipes import CONFIGS, on_meta, one_per_model, parsed, read

LEAVES = sorted(path.relative_to(CONFIGS).as_posix() for path in CONFIGS.rglob('*.py')
                if not {'_base_', 'benchmarks', 'transfer'} & set(path.parts))
METHODS = ['fastmae', 'fastmim', 'mae', 'mixmim', 'pixmim', 'simmim']
TEACHERS = sorted(path.stem for path in (CONFIGS / '_base_/teachers').glob('*.py'))


def without_files(cfg: Config) -> Config:
    """The config without files that it asks for: a teacher's weights, and the store of its features."""
    if 'teacher' in cfg.model.target_generator:
        cfg.model.target_generator.update(checkpoint=None, random_weights=True)
    dataset = cfg.train_dataloader.dataset
    dataset.pipeline = [step for step in dataset.pipeline if step.type != 'mim_plugins.LoadOfflineTarget']
    return cfg


def load_step(cfg: Config) -> dict:
    """What reads the store in a config's pipeline."""
    return next(step for step in cfg.train_dataloader.dataset.pipeline if step.type == 'mim_plugins.LoadOfflineTarget')


@pytest.mark.parametrize('name', TEACHERS)
def test_teacher_builds(name):
    teacher = parsed(f'_base_/teachers/{name}.py').teacher
    with on_meta(), torch.no_grad():
        target = MODELS.build({**teacher, 'checkpoint': None, 'random_weights': True, 'mean': [0.], 'std': [1.]})
        assert target.features(torch.zeros(1, 3, 256, 256)).shape == (1, teacher.channels, 16, 16)
    assert teacher.checkpoint.startswith('data/teachers/')


def test_the_teacher_of_each_recipe_has_a_store_of_its_own():
    stores = {}
    for name in LEAVES:
        cfg = parsed(name)
        if name.startswith('fastmae/') and cfg.model.target_generator.type == 'mim_plugins.OfflineTarget':
            stores.setdefault(load_step(cfg).store, set()).add(cfg.teacher.checkpoint)
    assert len(stores) == 5 and all(len(teachers) == 1 for teachers in stores.values())


def losses_of(name: str) -> dict[str, torch.Tensor]:
    """Losses of a config's model for two black images of its size."""
    cfg = without_files(read(name))
    size, target = cfg.model.input_size, cfg.model.target_generator
    model = MODELS.build(cfg.model)
    model.to(torch.zeros(0).device)  # the data preprocessor does not notice on which device it was made
    batch = model.data_preprocessor(
        dict(inputs=torch.zeros(2, 3, size, size, dtype=torch.uint8), data_samples=[]), True)
    if target.type == 'mim_plugins.OfflineTarget':
        grid = [size // target.get('cell', 16)] * 2
        batch['target_inputs'] = dict(features=torch.randn(2, *grid, target.channels))
    if target.get('from_middle'):
        batch['target_inputs'] = dict(middle=torch.zeros(2, 3, 256, 256), grid_box=torch.tensor([[1, 0, 15, 14]] * 2))
    with torch.no_grad():
        losses = model(**batch, mode='loss')
    return {key: loss for key, loss in losses.items() if 'loss' in key}


# The full-size ones without memory and arithmetic, those of the demo with both.
@pytest.mark.parametrize('name', one_per_model(name for name in LEAVES if not name.startswith('demo/')))
def test_full_size_model_builds_and_its_parts_fit(name):
    with on_meta():
        losses = losses_of(name)
    assert losses and all(loss.shape == () and loss.dtype == torch.float32 for loss in losses.values())


@pytest.mark.parametrize('name', [name for name in LEAVES if name.startswith('demo/')])
def test_demo_model_has_finite_losses(name):
    losses = losses_of(name)
    assert losses and all(loss.isfinite() for loss in losses.values())


def test_offline_targets_are_those_of_the_teacher():
    wrong = {}
    for name in LEAVES:
        cfg = parsed(name)
        target = cfg.model.target_generator
        if target.type != 'mim_plugins.OfflineTarget':
            continue
        found = (load_step(cfg).image_root, cfg.teacher.channels, cfg.teacher.cell)
        expected = (cfg.train_dataloader.dataset.data_root, target.channels, target.get('cell', 16))
        if found != expected:
            wrong[name] = (found, expected)
    assert wrong == {}


def test_datasets_samplers_and_hooks_build():
    wrong = {}
    for name in LEAVES:
        cfg = without_files(read(name))
        dataset = DATASETS.build({**cfg.train_dataloader.dataset, 'lazy_init': True})
        assert dataset.pipeline.transforms, name
        assert DATA_SAMPLERS.build({**cfg.train_dataloader.sampler, 'dataset': range(4), 'seed': 0}), name
        assert all(HOOKS.build(hook) for hook in cfg.default_hooks.values() if hook.type.startswith('mim_plugins.'))
        steps = [step.get('crop', step) for step in cfg.train_dataloader.dataset.pipeline]
        scales = [step.scale for step in steps if 'scale' in step]
        if scales != [cfg.model.input_size]:
            wrong[name] = scales
    assert wrong == {}


def faults_of_card(name: str) -> list[str]:
    """Return what a recipe's card lacks, or says otherwise than the config."""
    text, cfg = (CONFIGS / name).read_text(), parsed(name)
    card, body = text.removeprefix('"""').split('"""\n', 1)
    batch, each = cfg.auto_scale_lr.base_batch_size, cfg.train_dataloader.batch_size
    checks = {
        'the card comes first': text.startswith('"""'),
        'a command, the batch and the result are given': all(
            part in card for part in ('Command:', 'Batch:', 'Result:')),
        'the command names the file': f'configs/{name}' in card,
        'the recipe has at most 40 lines': len(body.splitlines()) <= 40,
        'the schedule ends with the training': cfg.param_scheduler[-1].end == cfg.train_cfg.max_epochs,
        'the last schedule begins after the warmup': cfg.param_scheduler[-1].begin == cfg.param_scheduler[0].end,
    }
    if not name.startswith('demo/'):
        checks['the batch is that of the card'] = f'x {each} = {batch};' in card
        checks['the name has the epochs'] = f'-{cfg.train_cfg.max_epochs}e_' in name
        checks['the name has the batch of a GPU'] = f'xb{each}-' in name
    return [rule for rule, kept in checks.items() if not kept]


def test_recipes_have_a_card_and_fitting_arithmetic():
    faults = {name: faults_of_card(name) for name in LEAVES}
    assert {name: found for name, found in faults.items() if found} == {}


@pytest.mark.parametrize('method', METHODS)
def test_the_metafile_names_every_recipe_as_it_is(method):
    models = load(CONFIGS / method / 'metafile.yml')['Models']
    readme = (CONFIGS / method / 'README.md').read_text()
    for model in models:
        cfg = parsed(model['Config'].removeprefix('configs/'))
        assert Path(model['Config']).stem == model['Name']
        assert f'[{model["Name"]}]({model["Name"]}.py)' in readme
        assert model['Metadata']['Epochs'] == cfg.train_cfg.max_epochs
        assert model['Metadata']['Batch Size'] == cfg.auto_scale_lr.base_batch_size
    assert {model['Config'].removeprefix('configs/') for model in models} == {
        name for name in LEAVES if name.startswith(f'{method}/')}
    assert f'configs/{method}/metafile.yml' in load(CONFIGS.parent / 'model-index.yml')['Import']


@pytest.mark.parametrize('method', METHODS)
def test_the_readme_lists_every_transfer_recipe(method):
    readme = (CONFIGS / method / 'README.md').read_text()
    assert all(f'[{path.stem}](benchmarks/{path.name})' in readme
               for path in (CONFIGS / method / 'benchmarks').glob('*.py'))


def test_file_names_are_unique():
    """``mim train mim_plugins NAME`` finds a config by its file name."""
    counts = Counter(path.name for path in CONFIGS.rglob('*.py') if '_base_' not in path.parts)
    assert [name for name, count in counts.items() if count > 1] == []


def rates(cfg: Config, epoch_length: int = 10, share: float = 1.) -> list[float]:
    """Learning rate at the start of each epoch, in a group whose peak is a share of the recipe's."""
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=share * cfg.optim_wrapper.optimizer.lr)
    schedulers = []
    for options in cfg.param_scheduler:
        options = dict(options)
        build = PARAM_SCHEDULERS.get(options.pop('type')).build_iter_from_epoch
        options.pop('convert_to_iter_based')
        schedulers.append(build(optimizer=optimizer, epoch_length=epoch_length, **options))
    found = []
    for iteration in range(cfg.train_cfg.max_epochs * epoch_length):
        if iteration % epoch_length == 0:
            found.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
    return found


@pytest.mark.parametrize('name, peak, warmup, drop', [
    ('fastmim/fastmim_swin-large_8xb256-amp-400e_in1k-128.py', 1.2e-3, 10, 350),
    ('fastmim/fastmim-p_swin-large_8xb256-amp-400e_in1k-128-192.py', 1.2e-3, 10, 350),
    ('simmim/simmim_swin-base_16xb128-amp-800e_in1k-192.py', 4e-4, 10, 700),
    ('simmim/simmim_swin-base_16xb128-amp-100e_in1k-192.py', 8e-4, 10, None),
    ('simmim/simmim_vit-base_16xb128-amp-800e_in1k-224.py', 8e-4, 20, None),
    ('fastmim/fastmim_cmt-small_8xb256-amp-800e_in1k-128.py', 1.2e-3, 10, None),
    ('mae/convmae_base_8xb128-amp-1600e_in1k-224.py', 6e-4, 40, None),
    ('mae/mae_vit-base_8xb512-amp-300e_in1k-224.py', 2.4e-3, 40, None),
    ('pixmim/pixmim_vit-base_8xb512-amp-800e_in1k-224.py', 2.4e-3, 40, None),
    ('pixmim/pixmim-lsmae_vit-base_16xb128-amp-800e_in1k-448.py', 1.2e-3, 40, None),
    ('mixmim/mixmim_mixmim-base_8xb128-amp-600e_in1k-224.py', 6e-4, 40, None),
    ('fastmae/fastmae_vit-base_8xb512-amp-60e_in1k-224.py', 2.4e-3, 40, None),
    ('fastmae/fastmae_vit-small_8xb512-amp-300e_in1k-224.py', 2.4e-3, 40, None),
])
def test_schedules_are_the_papers(name, peak, warmup, drop):
    found = rates(parsed(name))
    assert found[0] < 2e-3 * peak and found[warmup] == pytest.approx(peak)
    assert found[warmup // 2] < found[warmup]
    if drop:
        assert found[drop - 1] == pytest.approx(peak) and found[drop] == pytest.approx(peak / 10)
        assert found[-1] == pytest.approx(peak / 10)
    else:
        assert found[(warmup + len(found)) // 2] == pytest.approx(peak / 2, rel=1e-2) and found[-1] < peak / 100


# Published headless encoders, 85,798,656 (197 positions) and 86,743,224 (windows of 7), less what the
# position table (a buffer) and windows of 4 save; 303,301,632 for ViT-L with 197 positions.
@pytest.mark.parametrize('name, encoder, tokens, values', [
    ('fastmim/fastmim_vit-base_8xb256-amp-800e_in1k-128.py', 85_798_656 - 197 * 768, (8, 8), 108),
    ('fastmim/fastmim_vit-large_8xb256-amp-800e_in1k-128.py', 303_301_632 - 197 * 1024, (8, 8), 108),
    ('fastmim/fastmim_swin-base_8xb256-amp-400e_in1k-128.py', 86_698_104, (4, 4), 432),
])
def test_fastmim_recipes_are_the_papers(name, encoder, tokens, values):
    cfg = read(name)
    with on_meta(), torch.no_grad():
        model = MODELS.build(cfg.model)
        assert sum(p.numel() for p in model.backbone.parameters()) == encoder
        predicted = model.neck(model.backbone(torch.zeros(1, 3, 128, 128)), (128, 128))
    assert predicted.shape == (1, 27, 16, 16)
    assert model.neck.grid((128, 128)) == tokens and model.neck.values_per_token == values
    assert cfg.optim_wrapper.optimizer == dict(type='AdamW', lr=1.2e-3, betas=(.9, .95), weight_decay=.05, fused=True)
    assert cfg.auto_scale_lr.base_batch_size == 2048


@pytest.mark.parametrize('name, features, values', [
    ('mixmim_mixmim-base_8xb128-amp-300e_in1k-224.py', (1024, 7, 7), 3072),
    ('mixmim_swin-base_8xb128-amp-300e_in1k-224.py', (1024, 7, 7), 3072),
    ('mixmim_pvt-large_8xb128-amp-300e_in1k-224.py', (512, 7, 7), 3072),
    ('mixmim_vit-base_8xb128-amp-300e_in1k-224.py', (101, 768), 768),
])
def test_mixmim_recipes_are_the_papers(name, features, values):
    cfg = read(f'mixmim/{name}')
    with on_meta():
        model = MODELS.build(cfg.model)
    mask = model.data_preprocessor.mask_strategy(2, (224, 224), torch.Generator(), torch.device('cpu'))
    assert mask.sum((1, 2)).tolist() == [24, 24] and mask.shape == (2, 7, 7)
    assert cfg.train_dataloader.drop_last and cfg.auto_scale_lr.base_batch_size == 1024
    with on_meta(), torch.no_grad():
        model.fill.expect(model.data_preprocessor.mask_strategy.visible_units((224, 224)), mask[0].numel())
        seen = model.fill.encode(model.backbone, torch.zeros(2, 3, 224, 224), mask.to('meta'))
    assert (seen if isinstance(seen, torch.Tensor) else seen[-1]).shape[1:] == features
    assert model.neck.values_per_token == values and len(model.neck.blocks) == 8


@pytest.mark.parametrize('name, batch, tokens', [
    ('pixmim/pixmim_vit-base_8xb512-amp-800e_in1k-224.py', 4096, 50),
    ('pixmim/pixmim-mff_vit-base_8xb512-amp-300e_in1k-224.py', 4096, 50),
    ('pixmim/pixmim-convmae_base_8xb512-amp-800e_in1k-224.py', 4096, 49),
    ('pixmim/pixmim-lsmae_vit-base_16xb128-amp-800e_in1k-448.py', 2048, 197),
])
def test_pixmim_recipes_are_the_papers(name, batch, tokens):
    cfg = read(name)
    size = cfg.model.input_size
    with on_meta(), torch.no_grad():
        model = MODELS.build(cfg.model)
        images = torch.zeros(1, 3, size, size)
        mask = model.data_preprocessor.mask_strategy(1, (size, size), torch.Generator(), images.device)
        model.fill.expect(model.data_preprocessor.mask_strategy.visible_units((size, size)), mask[0].numel())
        features = model.fill.encode(model.backbone, images, mask)
        features = features if isinstance(features, torch.Tensor) else features[-1]
        assert features.shape == (1, tokens, 768)  # a quarter of all, and cls
        assert model.neck(features, (size, size), mask).shape == (1, 3, size, size)
    target = model.target_generator
    assert (target.radius, target.target.norm_patch, target.mode) == (40, 16, 'paper')
    assert target.reference_size == 224
    assert cfg.train_dataloader.dataset.pipeline[1] == dict(type='mim_plugins.SimpleResizedCrop', scale=size)
    assert cfg.optim_wrapper.optimizer == dict(
        type='AdamW', lr=1.5e-4 * batch / 256, betas=(.9, .95), weight_decay=.05, fused=True)
    assert cfg.auto_scale_lr.base_batch_size == batch


@pytest.mark.parametrize('name, width', [('base', 768), ('small', 384)])
def test_fastmae_recipes_are_the_papers(name, width):
    cfg = read(f'fastmae/fastmae_vit-{name}_8xb512-amp-300e_in1k-224.py')
    with on_meta(), torch.no_grad():
        model = MODELS.build(cfg.model)
        images = torch.zeros(1, 3, 224, 224)
        mask = model.data_preprocessor.mask_strategy(1, (224, 224), torch.Generator(), images.device)
        model.fill.expect(model.data_preprocessor.mask_strategy.visible_units((224, 224)), mask[0].numel())
        features = model.fill.encode(model.backbone, images, mask)[-1]
        assert features.shape == (1, 50, width) and model.neck(features, (224, 224), mask).shape == (1, 768, 14, 14)
    assert len(model.neck.blocks) == 1 and len(model.layer_heads) == 12 and model.target_generator.norm == 'patch'
    assert [(head.in_features, head.out_features) for head in model.layer_heads] == [(width, 768)] * 12
    assert cfg.optim_wrapper.optimizer == dict(type='AdamW', lr=2.4e-3, betas=(.9, .95), weight_decay=.05, fused=True)
    crop = cfg.train_dataloader.dataset.pipeline[1]
    assert (crop.scale, crop.patch, crop.middle_size) == (224, 16, 256)


def test_norms_biases_and_tokens_are_not_decayed():
    cfg = read('demo/fastmim_vit-micro_bs64_demo-32.py')
    model = MODELS.build(cfg.model)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    settings = {key: cfg.optim_wrapper[key] for key in ('optimizer', 'paramwise_cfg')}
    optimizer = build_optim_wrapper(model, settings).optimizer
    decay = {names[id(p)]: group['weight_decay'] for group in optimizer.param_groups for p in group['params']}
    free = {name for name, value in decay.items() if value == 0}
    assert set(decay.values()) == {0, .05}
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    assert free == {name for name, p in trained.items() if p.ndim == 1 or 'token' in name}
