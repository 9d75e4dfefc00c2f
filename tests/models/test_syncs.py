"""No mask, mixture, target or loss waits for the device."""
import pytest
import torch

from mim_plugins.registry import MODELS

from ..syncs import watched_syncs
from .test_targets import DALLE, VQ
from .test_teacher_target import VIT

SCALE = dict(mean=[120.] * 3, std=[60.] * 3)
NETWORK = dict(random_weights=True, **SCALE)
TEACHER = dict(type='TeacherTarget', teacher=VIT, channels=16, cell=8, **NETWORK)
BATCH = 4


def batch(**further) -> dict:
    return dict(inputs=torch.randint(256, (BATCH, 3, 64, 64), dtype=torch.uint8), data_samples=[], **further)


@pytest.mark.parametrize('preprocessor', [
    *(dict(type='MaskingDataPreprocessor', mask=dict(type=f'mim_plugins.{kind}', ratio_range=.1, **options))
      for kind, options in [
          ('RandomMasks', dict(shared=True)), ('RandomMasks', dict(rounding='ceil_masked')),
          ('BlockMasks', dict(min_block=2)), ('SquareMasks', {}), ('SquareMasks', dict(center='random'))]),
    *(dict(type='MixedMaskingDataPreprocessor', content=content, pairing=pairing)
      for content, pairing in [('mix', 'flip'), ('mix', 'roll'), ('mix', 'permutation'), ('shuffle', 'flip'),
                               ('zoom', 'flip'), ('none', 'flip')])])
def test_preprocessors(preprocessor):
    part = MODELS.build({
        **preprocessor, **SCALE, 'type': f'mim_plugins.{preprocessor["type"]}', 'to_rgb': True,
        'mask': dict(unit=8, ratio=.5, **preprocessor.get('mask', {}))})
    data = batch(target_inputs=dict(middle=torch.zeros(BATCH, 3, 96, 96, dtype=torch.uint8)))
    with watched_syncs() as found:
        part(data, training=True)
    assert found == []


@pytest.mark.parametrize('target, given', [
    (dict(type='PixelTarget', norm_patch=8), {}),
    (dict(type='PixelTarget', downsample=2), {}),
    (dict(type='HOGTarget'), {}),
    (dict(type='HOGTarget', layout='tokens'), {}),
    (dict(type='LowPassTarget', radius=5.), {}),
    (dict(type='LowPassTarget', radius=5., mode='reference', **SCALE), {}),
    (dict(type='LowPassTarget', radius=(1., 9.)), {}),
    (dict(type='ColorBinTarget', bins=8, **SCALE), {}),
    (dict(type='ColorClusterTarget', centers=[[0., 0, 0], [255., 9, 9], [9., 255, 9]], **SCALE), {}),
    (dict(type='TokenizerTarget', tokenizer=DALLE, **NETWORK), {}),
    (dict(type='TokenizerTarget', tokenizer=VQ, **NETWORK), {}),
    (TEACHER, {}),
    (dict(TEACHER, layer=0, norm='channel', cell=16, teacher_patch=8), {}),
    (dict(TEACHER, from_middle=True),
     dict(middle=torch.zeros(BATCH, 3, 96, 96), grid_box=torch.tensor([[1, 2, 9, 10]] * BATCH))),
    (dict(type='OfflineTarget', channels=5, cell=8), dict(
        features=torch.ones(BATCH, 8, 8, 5, dtype=torch.int8), scales=torch.ones(BATCH, 8, 8),
        calibration=torch.ones(BATCH, 2, 5))),
], ids=lambda part: part.get('type'))
def test_targets(target, given):
    part = MODELS.build({**target, 'type': f'mim_plugins.{target["type"]}'})
    images = torch.randn(BATCH, 3, 64, 64)
    part(images, **given)  # tables that are made once
    with watched_syncs() as found:
        part(images, **given)
    assert found == []


@pytest.mark.parametrize('region', ['masked', 'full'])
@pytest.mark.parametrize('criterion', ['L1', 'L2', 'SmoothL1', 'Cosine', 'CrossEntropy'])
def test_losses(criterion, region):
    head = MODELS.build(dict(
        type='mim_plugins.ReconstructionHead', region=region,
        loss=dict(type='mim_plugins.ReconstructionLoss', criterion=criterion)))
    prediction, mask = torch.randn(BATCH, 6, 8, 8, requires_grad=True), torch.rand(BATCH, 4, 4) < .5
    target = torch.randn(BATCH, 6, 8, 8)
    if criterion == 'CrossEntropy':
        target = target[:, :2].signbit().long()
    with watched_syncs() as found:
        head.loss(prediction, target, mask).backward()
    assert found == []
