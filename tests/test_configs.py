"""Every config parses and its model builds; the full-size ones have the papers' shapes."""
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.fileio import load
from mmengine.optim import build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS

from mim_plugins.registry import DATA_SAMPLERS, DATASETS, HOOKS, MODELS

CONFIGS = Path(__file__).parents[1] / 'configs'
LEAVES = sorted(path.relative_to(CONFIGS).as_posix() for path in CONFIGS.rglob('*.py')
                if not {'_base_', 'benchmarks', 'transfer'} & set(path.parts))
METHODS = ['fastmae', 'fastmim', 'mae', 'mixmim', 'pixmim', 'simmim']
TEACHERS = sorted(path.stem for path in (CONFIGS / '_base_/teachers').glob('*.py'))
# Encoders of 0.7 and 3 billion parameters: the same blocks, a sixteenth or less of the width.
NARROW = {
    'huge': dict(embed_dims=16, depths=[2, 2, 18, 2], num_heads=[1, 2, 4, 8], extra_norm_every_n_blocks=6),
    'giant': dict(embed_dims=16, depths=[2, 2, 42, 4], num_heads=[1, 2, 4, 8], extra_norm_every_n_blocks=6),
}


def read(name: str) -> Config:
    return Config.fromfile(CONFIGS / name)


def narrowed(cfg: Config) -> Config:
    """The config with a narrow encoder where the full one would not fit a test, and without files it asks for."""
    if 'teacher' in cfg.model.target_generator:
        cfg.model.target_generator.update(checkpoint=None, random_weights=True)
    dataset = cfg.train_dataloader.dataset
    dataset.pipeline = [step for step in dataset.pipeline if step.type != 'mim_plugins.LoadOfflineTarget']
    arch = cfg.model.backbone.get('arch')
    if isinstance(arch, str) and arch in NARROW:
        cfg.model.backbone.arch = NARROW[arch]
        cfg.model.neck.in_channels = 8 * NARROW[arch]['embed_dims']
    return cfg


def load_step(cfg: Config) -> dict:
    """What reads the store in a config's pipeline."""
    return next(step for step in cfg.train_dataloader.dataset.pipeline if step.type == 'mim_plugins.LoadOfflineTarget')


@pytest.mark.parametrize('name', TEACHERS)
def test_teacher_builds(name):
    teacher = Config.fromfile(CONFIGS / f'_base_/teachers/{name}.py').teacher
    target = MODELS.build({**teacher, 'checkpoint': None, 'random_weights': True, 'mean': [0.], 'std': [1.]})
    with torch.no_grad():
        assert target.features(torch.zeros(1, 3, 256, 256)).shape == (1, teacher.channels, 16, 16)
    assert teacher.checkpoint.startswith('data/teachers/')


def test_the_teacher_of_each_recipe_has_a_store_of_its_own():
    stores = {}
    for name in LEAVES:
        cfg = read(name)
        if name.startswith('fastmae/') and cfg.model.target_generator.type == 'mim_plugins.OfflineTarget':
            stores.setdefault(load_step(cfg).store, set()).add(cfg.teacher.checkpoint)
    assert len(stores) == 5 and all(len(teachers) == 1 for teachers in stores.values())


@pytest.mark.parametrize('name', LEAVES)
def test_config_builds(name):
    cfg = narrowed(read(name))
    model = MODELS.build(cfg.model)
    size = cfg.model.input_size
    batch = model.data_preprocessor(
        dict(inputs=torch.zeros(2, 3, size, size, dtype=torch.uint8), data_samples=[]), True)
    target = cfg.model.target_generator
    if target.type == 'mim_plugins.OfflineTarget':
        grid = [size // target.get('cell', 16)] * 2
        batch['target_inputs'] = dict(features=torch.randn(2, *grid, target.channels))
        assert load_step(read(name)).image_root == cfg.train_dataloader.dataset.data_root
        assert cfg.teacher.channels == target.channels and cfg.teacher.cell == target.get('cell', 16)
    if target.get('from_middle'):
        batch['target_inputs'] = dict(middle=torch.zeros(2, 3, 256, 256), grid_box=torch.tensor([[1, 0, 15, 14]] * 2))
    with torch.no_grad():
        assert model.parse_losses(model(**batch, mode='loss'))[0].isfinite()
    dataset = DATASETS.build({**cfg.train_dataloader.dataset, 'lazy_init': True})
    assert dataset.pipeline.transforms
    assert DATA_SAMPLERS.build({**cfg.train_dataloader.sampler, 'dataset': range(4), 'seed': 0})
    steps = [step.get('crop', step) for step in cfg.train_dataloader.dataset.pipeline]
    scales = [step.scale for step in steps if 'scale' in step]
    assert scales == [size]
    assert all(HOOKS.build(hook) for hook in cfg.default_hooks.values() if hook.type.startswith('mim_plugins.'))


@pytest.mark.parametrize('name', LEAVES)
def test_recipe_has_a_card_and_fitting_arithmetic(name):
    text = (CONFIGS / name).read_text()
    card, body = text.removeprefix('"""').split('"""\n', 1)
    assert text.startswith('"""') and 'Command:' in card and 'Batch:' in card and 'Result:' in card
    assert f'configs/{name}' in card and len(body.splitlines()) <= 40
    cfg = read(name)
    assert cfg.param_scheduler[-1].end == cfg.train_cfg.max_epochs
    assert cfg.param_scheduler[-1].begin == cfg.param_scheduler[0].end
    batch = cfg.auto_scale_lr.base_batch_size
    if not name.startswith('demo/'):
        assert f'x {cfg.train_dataloader.batch_size} = {batch};' in card
        assert f'-{cfg.train_cfg.max_epochs}e_' in name and f'xb{cfg.train_dataloader.batch_size}-' in name


@pytest.mark.parametrize('method', METHODS)
def test_the_metafile_names_every_recipe_as_it_is(method):
    models = load(CONFIGS / method / 'metafile.yml')['Models']
    readme = (CONFIGS / method / 'README.md').read_text()
    for model in models:
        cfg = Config.fromfile(CONFIGS.parent / model['Config'])
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
    names = [path.name for path in CONFIGS.rglob('*.py') if '_base_' not in path.parts]
    assert len(set(names)) == len(names)


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
    found = rates(read(name))
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
    model = MODELS.build(cfg.model)
    assert sum(p.numel() for p in model.backbone.parameters()) == encoder
    with torch.no_grad():
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
    model = MODELS.build(cfg.model)
    batch = model.data_preprocessor(
        dict(inputs=torch.zeros(2, 3, 224, 224, dtype=torch.uint8), data_samples=[]), True)
    assert batch['mask'].sum((1, 2)).tolist() == [24, 24] and batch['mask'].shape == (2, 7, 7)
    assert cfg.train_dataloader.drop_last and cfg.auto_scale_lr.base_batch_size == 1024
    with torch.no_grad():
        seen = model.fill.encode(model.backbone, batch['inputs'], batch['mask'])
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
    size, model = cfg.model.input_size, MODELS.build(cfg.model)
    images = torch.zeros(1, 3, size, size)
    mask = model.data_preprocessor.mask_strategy(1, (size, size), torch.Generator(), torch.device('cpu'))
    with torch.no_grad():
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
    model = MODELS.build(cfg.model)
    images = torch.zeros(1, 3, 224, 224)
    mask = model.data_preprocessor.mask_strategy(1, (224, 224), torch.Generator(), torch.device('cpu'))
    with torch.no_grad():
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
