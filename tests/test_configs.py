"""Every config parses and its model builds; the full-size ones have the papers' shapes."""
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.fileio import load
from mmengine.optim import build_optim_wrapper

from mim_plugins.registry import DATASETS, MODELS

CONFIGS = Path(__file__).parents[1] / 'configs'
LEAVES = sorted(path.relative_to(CONFIGS).as_posix() for path in CONFIGS.rglob('*.py') if '_base_' not in path.parts)


def read(name: str) -> Config:
    return Config.fromfile(CONFIGS / name)


@pytest.mark.parametrize('name', LEAVES)
def test_config_builds(name):
    cfg = read(name)
    model = MODELS.build(cfg.model)
    size = cfg.model.input_size
    batch = model.data_preprocessor(
        dict(inputs=torch.zeros(1, 3, size, size, dtype=torch.uint8), data_samples=[]), True)
    with torch.no_grad():
        assert model(**batch, mode='loss')['loss'].isfinite()
    dataset = {**cfg.train_dataloader.dataset, 'lazy_init': True}
    DATASETS.build(dataset)
    scales = [step.scale for step in cfg.train_dataloader.dataset.pipeline if 'scale' in step]
    assert scales == [size]


@pytest.mark.parametrize('name', LEAVES)
def test_recipe_has_a_card_and_fitting_arithmetic(name):
    text = (CONFIGS / name).read_text()
    assert text.startswith('"""') and 'Command:' in text and 'Batch:' in text
    cfg = read(name)
    assert cfg.param_scheduler[-1].end == cfg.train_cfg.max_epochs
    assert cfg.param_scheduler[-1].begin == cfg.param_scheduler[0].end


def test_the_metafile_names_every_recipe_as_it_is():
    models = load(CONFIGS / 'fastmim' / 'metafile.yml')['Models']
    for model in models:
        cfg = Config.fromfile(CONFIGS.parent / model['Config'])
        assert Path(model['Config']).stem == model['Name']
        assert model['Metadata']['Epochs'] == cfg.train_cfg.max_epochs
        assert model['Metadata']['Batch Size'] == cfg.auto_scale_lr.base_batch_size
    assert {model['Config'].removeprefix('configs/') for model in models} == {
        name for name in LEAVES if name.startswith('fastmim/')}


def test_file_names_are_unique():
    """``mim train mim_plugins NAME`` finds a config by its file name."""
    names = [Path(name).name for name in LEAVES]
    assert len(set(names)) == len(names)


# Published headless encoders, 85,798,656 (197 positions) and 86,743,224 (windows of 7), less what the
# smaller position table (65) and windows (4) save.
@pytest.mark.parametrize('name, encoder, tokens, values', [
    ('fastmim/fastmim_vit-base_8xb256-amp-800e_in1k-128.py', 85_697_280, (8, 8), 108),
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
    assert cfg.optim_wrapper.optimizer == dict(type='AdamW', lr=1.2e-3, betas=(.9, .95), weight_decay=.05)
    assert cfg.auto_scale_lr.base_batch_size == 2048
    assert cfg.param_scheduler[0].end == 10


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
