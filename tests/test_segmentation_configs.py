"""Every segmentation recipe parses and its segmenter builds; settings, schedules and layers are the papers'."""
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DATASETS, PARAM_SCHEDULERS, DefaultScope, init_default_scope
from mmengine.structures import PixelData
from PIL import Image

from mim_plugins.registry import HOOKS, MODELS

from .recipes import CONFIGS, on_meta, parsed, read

pytest.importorskip('mmseg', reason='mmseg is missing, whose configs the recipes inherit from')
pytest.importorskip('mmcv._ext', reason="mmcv's compiled ops are missing, which mmseg imports")
SegDataSample = pytest.importorskip('mmseg.structures').SegDataSample

pytestmark = pytest.mark.downstream

RECIPES = sorted(path.relative_to(CONFIGS).as_posix() for path in CONFIGS.glob('*/benchmarks/*ade20k*.py'))
NARROW = {
    'DenseVisionTransformer': dict(
        arch=dict(embed_dims=16, num_layers=12, num_heads=2, feedforward_channels=32), input_size=64, img_size=32),
    'ResizableSwin': dict(arch=dict(embed_dims=8, depths=[1, 1, 2, 1], num_heads=[1, 2, 2, 2]), img_size=64),
    'MixMIMTransformer': dict(
        arch=dict(embed_dims=8, depths=[1, 1, 2, 1], num_heads=[1, 2, 2, 2]), img_size=64, window_size=2,
        large_window=4, large_window_blocks={2: [1]}),
    'ConvMAEEncoder': dict(
        arch=dict(embed_dims=[8, 12, 16], depths=[1, 1, 2], num_heads=2), window_size=2, global_blocks=[0]),
}
WIDTHS = {'DenseVisionTransformer': [16] * 4, 'ConvMAEEncoder': [8, 12, 16, 16]}


@pytest.fixture(autouse=True)
def _mmseg() -> None:
    init_default_scope('mmseg')


def narrowed(cfg: Config) -> Config:
    """The recipe with an encoder and heads of a few channels, BN for SyncBN, and nothing to load."""
    kind = cfg.model.backbone.type.removeprefix('mim_plugins.')
    widths = WIDTHS.get(kind, [8, 16, 32, 64])
    norm = dict(norm_cfg=dict(type='BN'), num_classes=5)
    cfg.merge_from_dict(dict(
        model=dict(
            decode_head=dict(in_channels=widths, channels=8, **norm),
            auxiliary_head=dict(in_channels=widths[2], channels=8, **norm)),
        default_hooks=dict(encoder=dict(checkpoint=None))))
    cfg.model.backbone.update(NARROW[kind])
    if kind == 'DenseVisionTransformer':
        cfg.model.neck.update(embed_dim=16, norm_cfg=dict(type='BN'))
    return cfg


# One recipe of each model; of the two large ones, one.
MODEL_OF = {repr(parsed(name).model): name for name in RECIPES if 'simmim_swin-large' not in name}


@pytest.mark.slow
@pytest.mark.parametrize('name', sorted(MODEL_OF.values()))
def test_full_size_segmenter_builds(name):
    cfg = read(name)
    with on_meta(), torch.no_grad():
        model = MODELS.build(cfg.model).eval()
        maps = model.extract_feat(torch.zeros(1, 3, 64, 96))
        assert [tuple(level.shape[-2:]) for level in maps] == [(16, 24), (8, 12), (4, 6), (2, 3)]
        assert [level.shape[1] for level in maps] == cfg.model.decode_head.in_channels
        assert model.decode_head(maps).shape == (1, 150, 16, 24)
        assert model.auxiliary_head(maps).shape == (1, 150, 4, 6)


@pytest.mark.parametrize('name', RECIPES)
def test_recipe_has_a_card_and_fitting_arithmetic(name):
    text = (CONFIGS / name).read_text()
    card, body = text.removeprefix('"""').split('"""\n', 1)
    assert text.startswith('"""') and 'Paper:' in card and 'Result:' in card and len(body.splitlines()) <= 40
    assert f'Command: tools/dist_train.sh configs/{name} 8\n' in card
    cfg = read(name)
    stated = re.search(r'Batch: +(\d+) GPUs x (\d+) = (\d+); lr = (\S+) x (\d+) / 256 = (\S+)\n', card)
    gpus, batch, total, base, again, lr = map(float, stated.groups())
    assert gpus * batch == total == again == cfg.auto_scale_lr.base_batch_size == 16
    assert base * total / 256 == pytest.approx(lr) and cfg.optim_wrapper.optimizer.lr == pytest.approx(lr)
    assert cfg.train_dataloader.batch_size == batch and f'_{gpus:.0f}xb{batch:.0f}-160k_ade20k-512.py' in name
    assert Path(name).name.startswith(Path(cfg.default_hooks.encoder.checkpoint).parent.name.split('_')[0])


@pytest.mark.parametrize('name', RECIPES)
def test_recipe_has_the_settings_of_all(name):
    cfg = read(name)
    optimizer = cfg.optim_wrapper.optimizer
    assert (optimizer.type, optimizer.betas, optimizer.weight_decay) == ('AdamW', (.9, .999), .05) and optimizer.fused
    assert cfg.train_cfg.max_iters == cfg.param_scheduler[-1].end == 160_000
    assert cfg.model.backbone.drop_path_rate == .1
    crop = next(step for step in cfg.train_dataloader.dataset.pipeline if step.type == 'RandomCrop')
    assert crop.crop_size == cfg.model.data_preprocessor.size == (512, 512)
    assert cfg.val_evaluator.type == 'IoUMetric' and cfg.val_evaluator.iou_metrics == ['mIoU']
    hook = HOOKS.build(cfg.default_hooks.encoder)
    assert re.fullmatch(r'work_dirs/\w[\w-]+/epoch_\d+\.pth', hook.checkpoint) and hook.coverage == .9


def source(cfg: Config) -> Config:
    """The recipe, of pre-training or fine-tuning, whose last checkpoint a segmentation recipe starts from."""
    folder = Path(cfg.default_hooks.encoder.checkpoint).parent.name
    path, = CONFIGS.rglob(f'{folder}.py')
    return read(path.relative_to(CONFIGS).as_posix())


@pytest.mark.parametrize('name', RECIPES)
def test_the_encoder_is_what_another_recipe_leaves(name):
    cfg = read(name)
    assert ('-ft_upernet' in name) == ('_ft_' in cfg.default_hooks.encoder.checkpoint)
    epochs = source(cfg).train_cfg.max_epochs
    assert Path(cfg.default_hooks.encoder.checkpoint).name == f'epoch_{epochs}.pth'


@pytest.mark.parametrize('name, new', [
    ('fastmim/benchmarks/fastmim_vit-base_upernet', r'layers\.\d+\.attn\..*relative_position_bias_table'),
    ('pixmim/benchmarks/pixmim-mff_vit-base_upernet', r'layers\.\d+\.attn\..*relative_position_bias_table'),
    ('simmim/benchmarks/simmim_swin-base_upernet', r'norm[012]\.(weight|bias)'),
    ('mixmim/benchmarks/mixmim_mixmim-base_upernet', r'norm[012]\.(weight|bias)'),
    ('mae/benchmarks/convmae_base_upernet', 'nothing'),
])
def test_the_encoder_takes_the_pretrainings_tensors_by_name(name, new):
    cfg = read(f'{name}_8xb2-160k_ade20k-512.py')
    own = MODELS.build(cfg.model.backbone).state_dict().keys()
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        given = MODELS.build(source(cfg).model.backbone).state_dict().keys()
    missing = own - given
    assert all(re.fullmatch(new, tensor) for tensor in missing)
    assert 1 - len(missing) / len(own) >= cfg.default_hooks.encoder.coverage


@pytest.mark.parametrize('name, decay, lr, windows', [
    ('fastmim/benchmarks/fastmim_vit-base_upernet', .65, 1e-3, None),
    ('fastmim/benchmarks/fastmim_vit-base-ft_upernet', .75, 3e-4, None),
    ('fastmim/benchmarks/fastmim_swin-base-ft_upernet', .9, 3e-4, 7),
    ('fastmae/benchmarks/fastmae_vit-base_upernet', .65, 1e-4, None),
    ('mixmim/benchmarks/mixmim_mixmim-base_upernet', .85, 1e-4, 16),
    ('mixmim/benchmarks/mixmim_mixmim-large_upernet', .9, 1e-4, 16),
    ('simmim/benchmarks/simmim_swin-base_upernet', .9, 3e-4, 7),
    ('simmim/benchmarks/simmim_swin-large_upernet', .9, 3e-4, 14),
    ('pixmim/benchmarks/pixmim_vit-base_upernet', .75, 2e-4, None),
    ('pixmim/benchmarks/pixmim-mff_vit-base_upernet', .75, 2e-4, None),
    ('pixmim/benchmarks/pixmim-lsmae_vit-base_upernet', .75, 2e-4, None),
    ('pixmim/benchmarks/pixmim-convmae_base_upernet', .75, 3e-4, 16),
    ('mae/benchmarks/mae_vit-base_upernet', .75, 2e-4, None),
    ('mae/benchmarks/mff_vit-base_upernet', .75, 2e-4, None),
    ('mae/benchmarks/lsmae_vit-base_upernet', .75, 2e-4, None),
    ('mae/benchmarks/convmae_base_upernet', .75, 3e-4, 16),
])
def test_recipes_are_the_papers(name, decay, lr, windows):
    cfg = read(f'{name}_8xb2-160k_ade20k-512.py')
    assert cfg.optim_wrapper.optimizer.lr == pytest.approx(lr)
    assert cfg.optim_wrapper.paramwise_cfg == dict(layer_decay_rate=decay)
    assert cfg.model.backbone.get('window_size') == windows
    cosine = cfg.param_scheduler[-1].type == 'CosineAnnealingLR'
    assert cosine == name.startswith(('pixmim', 'mae'))
    assert cfg.model.backbone.get('img_size', 224) == (448 if 'lsmae' in name else 512 if 'swin' in name else 224)


@pytest.mark.parametrize('name, middle', [
    ('fastmim/benchmarks/fastmim_vit-base_upernet_8xb2-160k_ade20k-512.py', 5e-4),
    ('pixmim/benchmarks/pixmim_vit-base_upernet_8xb2-160k_ade20k-512.py', 1e-4),
])
def test_learning_rate_over_the_iterations(name, middle):
    """Warmup to the peak in 1,500 iterations, half of it in the middle of the rest, nothing at the end."""
    cfg = read(name)
    peak = cfg.optim_wrapper.optimizer.lr
    found = []
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=peak)
    schedulers = [PARAM_SCHEDULERS.build({**options, 'optimizer': optimizer}) for options in cfg.param_scheduler]
    for _ in range(160_000):
        found.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
    assert found[0] == pytest.approx(peak * 1e-6) and found[750] == pytest.approx(peak / 2, rel=1e-2)
    assert found[1500] == pytest.approx(peak, rel=1e-3) and found[80_750] == pytest.approx(middle, rel=1e-3)
    assert found[-1] < peak * 1e-4


@pytest.mark.parametrize('name, layers', [
    ('pixmim/benchmarks/pixmim_vit-base_upernet', 14),
    ('simmim/benchmarks/simmim_swin-base_upernet', 7),
    ('mixmim/benchmarks/mixmim_mixmim-base_upernet', 7),
    ('pixmim/benchmarks/pixmim-convmae_base_upernet', 4),
])
def test_learning_rates_rise_from_the_first_layer_to_the_heads(name, layers):
    cfg = narrowed(read(f'{name}_8xb2-160k_ade20k-512.py'))
    model = MODELS.build(cfg.model)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = build_optim_wrapper(model, cfg.optim_wrapper).optimizer.param_groups
    rates = {names[id(p)]: group['lr'] for group in groups for p in group['params']}
    decays = {names[id(p)]: group['weight_decay'] for group in groups for p in group['params']}
    peak, decay = cfg.optim_wrapper.optimizer.lr, cfg.optim_wrapper.paramwise_cfg.layer_decay_rate
    assert set(rates) == {name for name, p in model.named_parameters() if p.requires_grad}
    assert {rate for name, rate in rates.items() if not name.startswith('backbone.')} == {peak}
    assert min(rates.values()) == pytest.approx(peak * decay**(layers - 1))
    assert {decays[name] for name, p in model.named_parameters() if p.requires_grad and (
        p.ndim == 1 or 'position_bias_table' in name or 'pos_embed' in name)} == {0.}
    assert decays['decode_head.conv_seg.weight'] == .05
    assert any(decays[name] == .05 for name in decays if name.startswith('backbone.'))


@pytest.mark.parametrize('name', [
    'fastmim/benchmarks/fastmim_vit-base_upernet', 'simmim/benchmarks/simmim_swin-base_upernet',
    'mixmim/benchmarks/mixmim_mixmim-base_upernet', 'mae/benchmarks/convmae_base_upernet'])
def test_losses_reach_every_parameter_and_images_of_any_size_are_read(name):
    cfg = narrowed(read(f'{name}_8xb2-160k_ade20k-512.py'))
    cfg.model.data_preprocessor.size = (64, 64)
    if cfg.model.test_cfg.mode == 'slide':
        cfg.model.test_cfg.update(crop_size=(64, 64), stride=(43, 43))
    model = MODELS.build(cfg.model)
    model.init_weights()
    samples = [SegDataSample(gt_sem_seg=PixelData(data=torch.randint(5, (1, 64, 64))), metainfo=dict(
        img_shape=(64, 64), ori_shape=(64, 64))) for _ in range(2)]
    batch = dict(inputs=[torch.randint(256, (3, 64, 64), dtype=torch.uint8) for _ in samples], data_samples=samples)
    total, losses = model.parse_losses(model(**model.data_preprocessor(batch, True), mode='loss'))
    assert {'decode.loss_ce', 'aux.loss_ce'} <= set(losses) and total.isfinite()
    total.backward()
    assert [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None] == []
    picture = SegDataSample(metainfo=dict(img_shape=(80, 112), ori_shape=(40, 56)))
    model.eval()
    found, = model.test_step(dict(inputs=[torch.zeros(3, 80, 112, dtype=torch.uint8)], data_samples=[picture]))
    assert found.pred_sem_seg.shape == (40, 56) and found.seg_logits.data.shape == (5, 40, 56)


@pytest.fixture
def ade20k(tmp_path: Path) -> Path:
    """Two pictures in ADE20K's layout: class numbers from 1, and 0 for what counts nowhere."""
    random = np.random.default_rng(0)
    for split in ('training', 'validation'):
        for part in ('images', 'annotations'):
            (tmp_path / part / split).mkdir(parents=True)
        for number in range(2):
            labels = np.zeros((40, 60), dtype=np.uint8)
            labels[:, 20:40], labels[:, 40:] = 1, 150
            Image.fromarray(random.integers(256, size=(40, 60, 3), dtype=np.uint8)).save(
                tmp_path / f'images/{split}/{number}.jpg')
            Image.fromarray(labels).save(tmp_path / f'annotations/{split}/{number}.png')
    return tmp_path


def test_labels_are_counted_from_0_and_the_background_is_ignored(ade20k):
    cfg = read('mae/benchmarks/mae_vit-base_upernet_8xb2-160k_ade20k-512.py')
    train = DATASETS.build({**cfg.train_dataloader.dataset, 'data_root': str(ade20k)})
    sample = train[0]
    assert max(sample['inputs'].shape[1:]) <= 512  # a picture made smaller is padded by the preprocessor
    assert sample['data_samples'].gt_sem_seg.data.shape == (1, *sample['inputs'].shape[1:])
    assert set(sample['data_samples'].gt_sem_seg.data.unique().tolist()) <= {0, 149, 255}
    test = DATASETS.build({**cfg.test_dataloader.dataset, 'data_root': str(ade20k)})
    assert test[0]['inputs'].shape == (3, 512, 768)
    assert test[0]['data_samples'].gt_sem_seg.data.unique(return_counts=True)[1].tolist() == [800, 800, 800]
    assert test[0]['data_samples'].gt_sem_seg.data.unique().tolist() == [0, 149, 255]


def test_time_augmentation_has_five_sizes_each_mirrored(ade20k):
    cfg = read('simmim/benchmarks/simmim_swin-base_upernet_8xb2-160k_ade20k-512.py')
    test = DATASETS.build({**cfg.test_dataloader.dataset, 'data_root': str(ade20k), 'pipeline': cfg.tta_pipeline})
    views = test[0]
    sizes = [tuple(view.shape[1:]) for view in views['inputs']]
    assert sizes == [(side, side * 3 // 2) for side in (384, 448, 512, 576, 640) for _ in range(2)]
    assert [sample.flip for sample in views['data_samples']] == [False, True] * 5
    assert all(sample.gt_sem_seg.data.shape == (1, 40, 60) for sample in views['data_samples'])
    model = MODELS.build({**cfg.tta_model, 'module': narrowed(cfg).model}).eval()
    small = dict(inputs=[[view[:, :64, :96]] for view in views['inputs']],
                 data_samples=[[sample] for sample in views['data_samples']])
    with torch.no_grad():
        found, = model.test_step(small)
    assert found.pred_sem_seg.shape == (40, 60)
