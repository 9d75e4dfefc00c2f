"""Every detection recipe parses, says what it does and builds; narrow ones learn from boxes and masks."""
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.fileio import dump
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS, init_default_scope
from PIL import Image

from mim_plugins.registry import HOOKS, MODELS
from mim_plugins.transfer import load_encoder

from .recipes import CONFIGS, parsed, read

pytest.importorskip('mmdet', reason='mmdet is missing, whose configs the recipes inherit from')
pytest.importorskip('mmcv._ext', reason="mmcv's compiled ops are missing, which detectors run")
pytest.importorskip('pycocotools', reason='pycocotools is missing, which reads the masks of COCO')

pytestmark = pytest.mark.downstream

RECIPES = sorted(path.relative_to(CONFIGS).as_posix() for path in CONFIGS.glob('*/benchmarks/*_coco-*.py'))
STEMS = {path.stem: path for path in CONFIGS.rglob('*.py') if '_base_' not in path.parts}
ARITHMETIC = re.compile(r'Batch:   (\d+) GPUs x (\d+) = (\d+); lr = (\S+) x (\d+) / 256 = (\S+)\n')


def recipe(part: str) -> Config:
    """A copy of the only recipe with ``part`` in its name, the test's own to change."""
    found, = [name for name in RECIPES if part in name]
    return read(found)


@pytest.fixture(autouse=True)
def _mmdet_scope(_seeded) -> None:
    init_default_scope('mmdet')


def detector(model: dict) -> torch.nn.Module:
    """A detector for one process on a CPU, for images of any small size."""
    built = revert_sync_batchnorm(MODELS.build(model))
    built.data_preprocessor.pad_size_divisor = 32
    built.data_preprocessor.batch_augments = None
    return built


def sample(height: int, width: int, boxes: list[list[float]] = ()) -> tuple[torch.Tensor, object]:
    """A random image, and its description with boxes that are filled by their masks."""
    from mmdet.structures import DetDataSample
    from mmdet.structures.mask import BitmapMasks
    from mmengine.structures import InstanceData
    described = DetDataSample(metainfo=dict(
        img_id=0, img_shape=(height, width), ori_shape=(height, width), pad_shape=(height, width),
        scale_factor=(1., 1.), batch_input_shape=(height, width)))
    masks = np.zeros((len(boxes), height, width), np.uint8)
    for mask, (left, top, right, bottom) in zip(masks, boxes, strict=True):
        mask[int(top):int(bottom), int(left):int(right)] = 1
    described.gt_instances = InstanceData(
        bboxes=torch.tensor(boxes, dtype=torch.float32).view(-1, 4), labels=torch.arange(len(boxes)),
        masks=BitmapMasks(masks, height, width))
    described.ignored_instances = InstanceData(bboxes=torch.zeros(0, 4))
    return torch.randint(0, 255, (3, height, width), dtype=torch.uint8), described


# Recipes and what they say


@pytest.mark.parametrize('name', RECIPES)
def test_recipe_has_a_card_and_fitting_arithmetic(name):
    text, cfg, stem = (CONFIGS / name).read_text(), parsed(name), Path(name).stem
    card, body = text.removeprefix('"""').split('"""\n', 1)
    assert text.startswith('"""') and 'Paper:' in card and 'not reproduced by us' in card
    assert f'configs/{name} 8\n' in card and len(body.splitlines()) <= 40
    gpus, each, batch, base, again, lr = ARITHMETIC.search(card).groups()
    assert int(gpus) * int(each) == int(batch) == int(again) == cfg.auto_scale_lr.base_batch_size
    assert cfg.auto_scale_lr.enable is False  # mmdet's tool wants it stated
    assert float(base) * int(batch) / 256 == pytest.approx(float(lr)) == cfg.optim_wrapper.optimizer.lr
    assert cfg.train_dataloader.batch_size == int(each) and f'_{gpus}xb{each}-amp-' in stem
    assert f'NNODES={int(gpus) // 8} ' in card if int(gpus) > 8 else 'NNODES' not in card
    loop = cfg.train_cfg
    length = f'{loop.max_epochs}e' if loop.type == 'EpochBasedTrainLoop' else f'{loop.max_iters // 1000}k'
    assert f'-amp-{length}_coco-' in stem
    assert cfg.param_scheduler[-1].end == loop.get('max_epochs', loop.get('max_iters'))


@pytest.mark.parametrize('name', RECIPES)
def test_recipe_starts_from_what_another_recipe_leaves(name):
    cfg = parsed(name)
    folder, stem, file = Path(cfg.default_hooks.encoder.checkpoint).parts
    source = parsed(STEMS[stem].relative_to(CONFIGS).as_posix())
    assert (folder, file) == ('work_dirs', f'epoch_{source.train_cfg.max_epochs}.pth')
    assert all(HOOKS.build(hook) for hook in cfg.default_hooks.values() if hook.type.startswith('mim_plugins.'))
    before, after = (config.model.backbone.get('arch', config.model.backbone.get('model_name'))
                     for config in (source, cfg))
    assert before == after


@pytest.mark.parametrize('part, lr, decay, layers, drop_path, epochs', [
    ('fastmim_vit-base_mask-rcnn_8xb4-amp-25e', 8e-5, .1, 1., .1, 25),
    ('fastmim_vit-base_mask-rcnn_8xb4-amp-100e', 8e-5, .1, 1., .1, 100),
    ('fastmim_swin-base_mask-rcnn_', 6e-5, .05, None, .2, 36),
    ('fastmim_swin-base_mask-rcnn-copy-paste', 6e-5, .05, None, .2, 36),
    ('fastmim_swin-large_mask-rcnn_', 6e-5, .05, None, .3, 36),
    ('fastmim_swin-base_mask-rcnn-greenmim', 1e-4, .05, None, .2, 36),
    ('fastmim_swin-large_mask-rcnn-greenmim', 1e-4, .05, None, .3, 36),
    ('simmim_swin-base-800e_mask-rcnn', 6e-5, .05, None, .2, 36),
    ('simmim_swin-large_mask-rcnn', 6e-5, .05, None, .3, 36),
    ('fastmae_vit-base_mask-rcnn', 3e-4, .05, 1., .2, 12),
    ('mixmim_mixmim-base_mask-rcnn', 8e-5, .1, .85, .1, 55),
    ('mixmim_mixmim-large_mask-rcnn', 8e-5, .1, .9, .2, 80),
    ('pixmim_vit-base_vitdet_16xb4', 8e-5, .1, .75, .1, 100),
    ('pixmim_vit-base_vitdet_8xb2', 1e-4, .1, .75, .1, 24),
    ('pixmim-mff_vit-base', 8e-5, .1, .75, .1, 100),
    ('pixmim-lsmae_vit-base', 8e-5, .1, .75, .1, 50),
    ('pixmim-convmae_base', 1e-4, .1, .85, .1, 25),
    ('/convmae_base', 8e-5, .1, 1., .1, 25),
    ('/mae_vit-base_vitdet', 1e-4, .1, .7, .1, None),
])
def test_settings_are_the_papers(part, lr, decay, layers, drop_path, epochs):
    cfg = recipe(part)
    wrapper = cfg.optim_wrapper
    assert wrapper.optimizer == dict(
        type='AdamW', lr=pytest.approx(lr), betas=(.9, .999), weight_decay=decay, fused=True)
    assert wrapper.paramwise_cfg.get('layer_decay_rate') == layers
    assert ('constructor' in wrapper) == (layers is not None)
    assert cfg.model.backbone.drop_path_rate == drop_path and cfg.train_cfg.get('max_epochs') == epochs
    assert (wrapper.type, wrapper.dtype) == ('AmpOptimWrapper', 'bfloat16')
    assert cfg.val_evaluator.metric == ['bbox', 'segm']


@pytest.mark.parametrize('part', [
    'fastmim_swin-base_mask-rcnn-greenmim', 'fastmim_vit-base_mask-rcnn_8xb4-amp-25e', '/mae_vit-base_vitdet',
    '/convmae_base', 'pvtv2', 'mixmim-base'])
def test_what_pre_training_leaves_covers_what_the_recipe_asks_for(part, tmp_path):
    cfg = recipe(part)
    stem = Path(cfg.default_hooks.encoder.checkpoint).parent.name
    init_default_scope('mmpretrain')
    trained = MODELS.build(Config.fromfile(STEMS[stem]).model).backbone.state_dict()
    torch.save(dict(state_dict={f'backbone.{name}': value for name, value in trained.items()}), tmp_path / 'last.pth')
    init_default_scope('mmdet')
    own = MODELS.build(cfg.model.backbone)
    report = load_encoder(own, tmp_path / 'last.pth')
    assert cfg.default_hooks.encoder.coverage <= report.coverage < cfg.default_hooks.encoder.coverage + .021
    other = [name for name, value in own.state_dict().items() if name in trained and not trained[name].equal(value)]
    assert all('relative_position' in name or 'pos_embed' in name for name in other)  # resized


# Learning rates


def rates(cfg: Config, epoch_length: int, places: list[int]) -> list[float]:
    """Learning rate of some iterations, as a share of its peak."""
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.)
    by_iter, by_epoch = [], []
    for options in cfg.param_scheduler:
        options = dict(options)
        kind = PARAM_SCHEDULERS.get(options.pop('type'))
        if options.pop('convert_to_iter_based', False):
            by_iter.append(kind.build_iter_from_epoch(optimizer=optimizer, epoch_length=epoch_length, **options))
        else:
            (by_epoch if options['by_epoch'] else by_iter).append(kind(optimizer=optimizer, **options))
    found = {}
    for iteration in range(max(places) + 1):
        found[iteration] = optimizer.param_groups[0]['lr']
        optimizer.step()
        for scheduler in [*by_iter, *(by_epoch if (iteration + 1) % epoch_length == 0 else [])]:
            scheduler.step()
    return [found[place] for place in places]


@pytest.mark.parametrize('part, epoch_length, expected', [
    ('fastmim_vit-base_mask-rcnn_8xb4-amp-25e', 1000, {0: .001, 750: .5, 12500: .5, 24999: 0}),
    ('fastmim_vit-base_mask-rcnn_8xb4-amp-100e', 200, {0: .001, 1500: .986, 10000: .5, 19999: 0}),
    ('fastmim_swin-base_mask-rcnn_', 100, {750: .5, 1500: 1, 2699: 1, 2700: .1, 3299: .1, 3300: .01}),
    ('copy-paste', 100, {500: .5, 1000: 1, 2699: 1, 2700: .1, 3300: .01}),
    ('swin-base_mask-rcnn-greenmim', 100, {750: .5, 1500: 1, 2700: .1, 3300: .01}),
    ('fastmae', 1000, {0: .001, 250: .491, 6000: .5, 11999: 0}),
    ('mixmim-base', 400, {0: .001, 50: .5055, 100: 1, 19599: 1, 19600: .1, 21200: .01}),
    ('mixmim-large', 400, {0: .001, 50: .5055, 100: 1, 28399: 1, 28400: .1, 30800: .01}),
    ('pixmim_vit-base_vitdet_16xb4', 100, {125: .5, 250: 1, 8899: 1, 8900: .1, 9600: .01}),
    ('pixmim_vit-base_vitdet_8xb2', 100, {250: .5, 500: 1, 1599: 1, 1600: .1, 2200: .01}),
    ('lsmae', 100, {125: .5, 250: 1, 4399: 1, 4400: .1, 4800: .01}),
    ('184k', 1, {0: .001, 125: .5, 250: 1, 163888: 1, 163889: .1, 177545: .1, 177546: .01}),
])
def test_schedules_are_the_papers(part, epoch_length, expected):
    found = rates(recipe(part), epoch_length, list(expected))
    assert found == pytest.approx(list(expected.values()), rel=6e-3, abs=1e-4)


# Images


@pytest.fixture
def coco(tmp_path) -> Path:
    """Four images with two rectangles each, one without, in COCO's folders and format."""
    (tmp_path / 'annotations').mkdir()
    images, objects = [], []
    for number, (width, height) in enumerate([(200, 120), (64, 96), (320, 200), (90, 90), (100, 80)]):
        images.append(dict(id=number, file_name=f'{number}.jpg', width=width, height=height))
        for category, left in [] if number == 4 else [(1, 4), (18, width // 2)]:
            side = width // 2 - 8
            objects.append(dict(
                id=len(objects) + 1, image_id=number, category_id=category, iscrowd=0, area=side * 50,
                bbox=[left, 10, side, 50],
                segmentation=[[left, 10, left + side, 10, left + side, 60, left, 60]]))
    categories = [dict(id=1, name='person'), dict(id=18, name='dog')]
    for part in ('train', 'val'):
        (tmp_path / f'{part}2017').mkdir()
        dump(dict(images=images, annotations=objects, categories=categories),
             tmp_path / f'annotations/instances_{part}2017.json')
        for image in images:
            noise = np.random.default_rng(image['id']).integers(0, 256, (image['height'], image['width'], 3), np.uint8)
            Image.fromarray(noise).save(tmp_path / f'{part}2017/{image["file_name"]}')
    return tmp_path


def dataset(options: dict, root: Path):
    from mmdet.registry import DATASETS
    inner = options.get('dataset', options)
    inner['data_root'] = f'{root}/'
    return DATASETS.build(options)


@pytest.mark.parametrize('part', ['swin-base_mask-rcnn_', 'copy-paste', 'fastmae'])
def test_training_images_come_with_boxes_and_masks_that_fit(part, coco):
    np.random.seed(0)
    images = dataset(recipe(part).train_dataloader.dataset, coco)
    assert len(images) == 4  # of five
    heights = set()
    for _ in range(8):
        for item in map(images.__getitem__, range(4)):
            height, width = item['inputs'].shape[1:]
            found = item['data_samples'].gt_instances
            assert found.masks.masks.shape == (len(found.bboxes), height, width)
            assert max(height, width) <= (1333 if part == 'fastmae' else 1024)
            for box, mask in zip(found.bboxes.tensor, found.masks.masks, strict=True):
                rows, columns = mask.nonzero()
                inside = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
                assert box.tolist() == pytest.approx(inside, abs=8)  # pixels of an enlarged image
            heights.add(height)
    assert len(heights) == 1 if part == 'copy-paste' else len(heights) > 1


def test_objects_of_another_image_are_pasted_in(coco):
    np.random.seed(0)
    images = dataset(recipe('copy-paste').train_dataloader.dataset, coco)
    paste = images.pipeline[0]
    assert paste.max_num_pasted == 100
    counts = [len(images[number]['data_samples'].gt_instances) for number in range(4) for _ in range(8)]
    assert max(counts) > 2 and min(counts) <= 2


@pytest.mark.parametrize('part, shape', [
    ('swin-base_mask-rcnn_', (1000, 1666)), ('fastmim_vit-base_mask-rcnn_8xb4-amp-25e', (614, 1024)),
    ('fastmae', (800, 1333))])
def test_images_are_tested_at_the_size_of_the_setting(part, shape, coco):
    cfg = recipe(part)
    assert cfg.val_dataloader == cfg.test_dataloader
    item = dataset(cfg.test_dataloader.dataset, coco)[0]  # 200 x 120
    assert item['inputs'].shape == (3, *shape)


@pytest.mark.parametrize('part, size, train, test', [
    ('swin-base_mask-rcnn_', (100, 80), (1024, 1024), (128, 96)),
    ('fastmim_vit-base_mask-rcnn_8xb4-amp-25e', (100, 80), (1024, 1024), (1024, 1024)),
    ('fastmae', (100, 80), (128, 96), (128, 96))])
def test_batches_are_padded_as_the_encoder_wants_them(part, size, train, test):
    preprocessor = MODELS.build(recipe(part).model.data_preprocessor)
    image, described = sample(*size, [[8, 8, 40, 40]])
    tested = preprocessor(dict(inputs=[image], data_samples=[described]), False)
    assert tested['inputs'].shape == (1, 3, *test) and tested['inputs'][..., 100:, :].abs().sum() == 0
    trained = preprocessor(dict(inputs=[image], data_samples=[described]), True)
    assert trained['inputs'].shape == (1, 3, *train)
    assert trained['data_samples'][0].gt_instances.masks.masks.shape == (1, *train)


# Detectors


def models() -> list:
    """One recipe per different model; of the L ones the Swin alone."""
    different = {}
    for name in RECIPES:
        different.setdefault(json.dumps(parsed(name).model.to_dict(), sort_keys=True), name)
    large = {name for name in different.values() if '-large' in name}
    return [name for name in different.values() if name not in large or 'fastmim_swin-large_mask-rcnn_' in name]


# Millions of parameters: of ViTDet and the four-level ViT as published, of the others as counted.
SIZES = {
    'lsmae': 111.3, 'vitdet': 110.9, 'fastmim_vit-base': 115.7, 'swin-base_mask-rcnn-greenmim': 107.1,
    'swin-base': 109.0, 'swin-large': 217.9, 'pvtv2': 45.0, 'mixmim-base': 109.5, 'convmae': 106.8, 'fastmae': 115.5}


@pytest.mark.slow
@pytest.mark.parametrize('name', models())
def test_detector_builds_and_predicts(name):
    built = detector(parsed(name).model).eval()
    millions = sum(parameter.numel() for parameter in built.parameters()) / 1e6
    assert millions == pytest.approx(next(size for part, size in SIZES.items() if part in name), abs=.05)
    image, described = sample(96, 128)
    with torch.no_grad():
        maps = built.extract_feat(torch.zeros(1, 3, 96, 128))
        predicted = built.test_step(dict(inputs=[image], data_samples=[described]))[0].pred_instances
    assert [tuple(level.shape[1:]) for level in maps] == [
        (256, 24, 32), (256, 12, 16), (256, 6, 8), (256, 3, 4), (256, 2, 2)]
    assert predicted.masks.shape == (len(predicted.bboxes), 96, 128)


@pytest.mark.parametrize('part', ['fastmim_swin-large_mask-rcnn-greenmim', 'mixmim-large'])
def test_pyramids_of_large_encoders_have_their_widths(part):
    model = recipe(part).model
    width = MODELS.get(model.backbone.type).arch_zoo[model.backbone.arch]['embed_dims']
    assert model.neck.in_channels == [width, 2 * width, 4 * width, 8 * width]


def narrowed(model) -> torch.nn.Module:
    """A recipe's detector with an encoder and heads of a few channels."""
    kind = model.backbone.type.removeprefix('mim_plugins.')
    plain = dict(embed_dims=32, num_layers=12, num_heads=2, feedforward_channels=64)
    model.backbone.arch = {
        'ResizableSwin': dict(embed_dims=16, depths=[1, 1, 2, 1], num_heads=[1, 2, 4, 8]),
        'MixMIMTransformer': dict(embed_dims=16, depths=[1, 1, 18, 1], num_heads=[1, 2, 4, 8]),
        'ConvMAEEncoder': dict(embed_dims=[16, 24, 48], depths=[1, 1, 11], num_heads=3),
        'DenseVisionTransformer': plain}[kind]
    for neck in model.neck if isinstance(model.neck, list) else [model.neck]:
        neck.update({
            'mim_plugins.RescaledLevels': dict(in_channels=32),
            'mim_plugins.SimpleFeaturePyramid': dict(in_channels=32),
            'FPN': dict(in_channels={'DenseVisionTransformer': [32] * 4, 'ConvMAEEncoder': [16, 24, 48, 48]}.get(
                kind, [16, 32, 64, 128]))}.get(neck.type, {}))
    model.roi_head.bbox_head.fc_out_channels = 32
    model.train_cfg.rpn_proposal.max_per_img = 50
    return detector(model)


def on_cpu(wrapper: dict) -> dict:
    """The same without mixed precision, which mmengine keeps for GPUs."""
    return {**{key: wrapper[key] for key in wrapper if key not in ('dtype', 'loss_scale')}, 'type': 'OptimWrapper'}


@pytest.mark.parametrize('part', [
    'swin-base_mask-rcnn_', 'swin-base_mask-rcnn-greenmim', 'fastmim_vit-base_mask-rcnn_8xb4-amp-25e',
    '/mae_vit-base_vitdet', '/convmae_base', 'mixmim-base'])
def test_narrow_detectors_learn_from_boxes_and_masks(part):
    cfg = recipe(part)
    model = narrowed(cfg.model)
    model.init_weights()
    wrapper = build_optim_wrapper(model, on_cpu(cfg.optim_wrapper))
    images, described = zip(sample(64, 96, [[8, 8, 40, 40], [30, 20, 90, 60]]), sample(64, 64), strict=True)
    with torch.autocast('cpu', torch.bfloat16):  # as the recipes train on a GPU
        batch = model.data_preprocessor(dict(inputs=list(images), data_samples=list(described)), True)
        total, losses = model.parse_losses(model(**batch, mode='loss'))
    assert losses.keys() == {'loss', 'loss_rpn_cls', 'loss_rpn_bbox', 'loss_cls', 'loss_bbox', 'loss_mask', 'acc'}
    assert all(losses[name].isfinite() and losses[name] > 0 for name in losses if name != 'acc')
    assert losses['loss_mask'].dtype == torch.float32
    wrapper.backward(total)
    assert not [name for name, part in model.named_parameters() if part.requires_grad and part.grad is None]
    wrapper.step()
    assert not [name for name, parameter in model.named_parameters() if not parameter.isfinite().all()]


def grouped(cfg: Config) -> tuple[dict[str, torch.nn.Parameter], dict[str, dict]]:
    """The trained parameters of a recipe's narrow detector, and the optimizer's group of each."""
    model = narrowed(cfg.model)
    trained = {name: value for name, value in model.named_parameters() if value.requires_grad}
    names = {id(parameter): name for name, parameter in trained.items()}
    groups = build_optim_wrapper(model, on_cpu(cfg.optim_wrapper)).optimizer.param_groups
    return trained, {names[id(parameter)]: group for group in groups for parameter in group['params']}


@pytest.mark.parametrize('part, rate, last', [
    ('/mae_vit-base_vitdet', .7, 13), ('pixmim_vit-base_vitdet_16xb4', .75, 13), ('pixmim-convmae', .85, 12),
    ('mixmim-base', .85, None)])
def test_layers_have_lower_rates_the_deeper_they_are(part, rate, last):
    trained, found = grouped(cfg := recipe(part))
    assert found.keys() == trained.keys()
    peak = cfg.optim_wrapper.optimizer.lr
    assert {group['lr'] for name, group in found.items() if not name.startswith('backbone.')} == {peak}
    steps = sorted({round(float(np.log(group['lr'] / peak) / np.log(rate)), 6) for group in found.values()})
    assert steps == list(range(len(steps))) and last in (None, steps[-1])


@pytest.mark.parametrize('part, one_rate', [
    ('/mae_vit-base_vitdet', False), ('pixmim-convmae', False), ('fastmim_vit-base_mask-rcnn_8xb4-amp-25e', True),
    ('fastmae', True), ('/convmae_base', True)])
def test_plain_encoders_leave_vectors_and_tables_undecayed(part, one_rate):
    trained, found = grouped(cfg := recipe(part))
    assert ({group['lr'] for group in found.values()} == {cfg.optim_wrapper.optimizer.lr}) == one_rate
    assert {name for name, group in found.items() if group['weight_decay'] == 0} == {
        name for name, parameter in trained.items()
        if parameter.ndim == 1 or any(part in name for part in ('cls_token', 'pos_embed', 'position_bias', 'rel_pos'))}
