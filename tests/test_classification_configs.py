"""Every recipe for classification parses, builds, runs, and has the papers' values."""
import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmpretrain.structures import DataSample

from mim_plugins.registry import DATASETS, HOOKS, MODELS

from .test_configs import CONFIGS, LEAVES, NARROW, rates

RECIPES = sorted(path.relative_to(CONFIGS).as_posix() for path in CONFIGS.glob('*/benchmarks/*.py')
                 if re.search('_(ft|linear|few-shot)_', path.name))
WIDE = {**NARROW, 'mixmim-huge': dict(embed_dims=16, depths=[2, 2, 18, 2], num_heads=[1, 2, 4, 8])}


@cache
def _parsed(name: str) -> Config:
    return Config.fromfile(CONFIGS / name)


def read(name: str) -> Config:
    """A recipe, parsed once; the caller's own to change."""
    return _parsed(name).copy()


def build(cfg: Config) -> torch.nn.Module:
    """The classifier, narrow where the full one would not fit a test."""
    backbone = cfg.model.backbone
    narrow = WIDE.get('mixmim-huge' if 'MixMIM' in backbone.type and backbone.arch == 'huge' else str(
        backbone.get('arch')))
    if narrow:
        backbone.update(arch=narrow, with_cp=False)
        cfg.model.head.in_channels = 8 * narrow['embed_dims']
    return MODELS.build({**cfg.model, 'data_preprocessor': cfg.data_preprocessor})


def size_of(cfg: Config) -> int:
    return cfg.train_dataloader.dataset.pipeline[1].scale


@pytest.mark.parametrize('name', RECIPES)
def test_recipe_has_a_card_and_fitting_arithmetic(name):
    text, cfg = (CONFIGS / name).read_text(), read(name)
    card, body = text.removeprefix('"""').split('"""\n', 1)
    assert f'configs/{name} ' in card and 'Result:' in card and len(body.splitlines()) <= 40
    gpus, per, batch = map(int, re.search(r'(\d+) GPUs x (\d+) = (\d+);', card).groups())
    base, again, lr = map(float, re.search(r'lr = (\S+) x (\d+) / 256 = (\S+)', card).groups())
    assert gpus * per == batch == again == cfg.auto_scale_lr.base_batch_size
    assert cfg.train_dataloader.batch_size == per and f'_{gpus}xb{per}-' in name
    assert cfg.optim_wrapper.optimizer.lr == pytest.approx(lr) == base * batch / 256
    nodes = re.search(r'NNODES=(\d+)', card)
    assert gpus == 8 * int(nodes[1] if nodes else 1)
    epochs = cfg.train_cfg.max_epochs
    assert f'-{epochs}e_' in name and cfg.param_scheduler[-1].end == epochs
    assert cfg.param_scheduler[-1].begin == cfg.param_scheduler[0].end
    assert cfg.param_scheduler[-1].T_max == epochs - cfg.param_scheduler[0].end
    assert name.endswith(f'-{size_of(cfg)}.py')


@pytest.mark.parametrize('name', RECIPES)
def test_the_weights_come_from_a_pre_training_recipe(name):
    hook = read(name).default_hooks.encoder
    stem, epoch = re.fullmatch(r'work_dirs/(.+)/epoch_(\d+)\.pth', hook.checkpoint).groups()
    source, = [leaf for leaf in LEAVES if Path(leaf).stem == stem]
    assert Config.fromfile(CONFIGS / source).train_cfg.max_epochs == int(epoch)
    assert hook.type == 'mim_plugins.LoadEncoderHook' and hook.coverage == .95


def test_file_names_are_unique():
    counts = Counter(path.name for path in CONFIGS.rglob('*.py') if '_base_' not in path.parts)
    assert not [name for name, count in counts.items() if count > 1]


@pytest.mark.parametrize('name', RECIPES)
def test_pipelines_and_hooks_build(name):
    cfg = read(name)
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        dataset = DATASETS.build({**loader.dataset, 'lazy_init': True})
        assert dataset.pipeline.transforms
    crop = cfg.val_dataloader.dataset.pipeline[2]
    assert crop.crop_size == size_of(cfg) and cfg.test_dataloader == cfg.val_dataloader
    assert all(HOOKS.build(hook) for hook in cfg.default_hooks.values() if hook.type.startswith('mim_plugins.'))


def distinct_models() -> dict[str, str]:
    """One recipe for each model that the recipes build."""
    return {str(_parsed(name).model): name for name in RECIPES}


@pytest.mark.parametrize('name', sorted(distinct_models().values()))
def test_classifier_builds_and_runs(name):
    cfg = read(name)
    model = build(cfg)
    size, classes = size_of(cfg), cfg.model.head.num_classes
    assert cfg.data_preprocessor.num_classes == classes
    model.eval()
    with torch.no_grad():
        assert model(torch.zeros(1, 3, size, size)).shape[-1] == classes if size < 512 else True
    settings = {key: cfg.optim_wrapper[key] for key in ('optimizer', 'constructor', 'paramwise_cfg')
                if key in cfg.optim_wrapper}
    groups = build_optim_wrapper(model, settings).optimizer.param_groups
    assert sum(len(group['params']) for group in groups) == sum(p.requires_grad for p in model.parameters())
