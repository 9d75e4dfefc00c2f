"""Parts reached by their scope: from other packages, other folders, and without what is optional."""
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmpretrain.registry import MODELS as MMPRETRAIN_MODELS
from mmpretrain.structures import DataSample

ROOT = Path(__file__).parents[1]


def run_python(code: str, cwd: Path) -> str:
    done = subprocess.run([sys.executable, '-c', code], cwd=cwd, env={'PYTHONPATH': str(ROOT), 'PATH': ''},
                          text=True, capture_output=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.slow
@pytest.mark.processes
def test_pretraining_needs_no_compiled_ops_no_mmdet_and_no_mmseg(tmp_path):
    code = f"""
import sys
BLOCKED = ('mmcv._ext', 'mmcv.ops', 'mmdet', 'mmseg')
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name in BLOCKED or name.startswith(tuple(b + '.' for b in BLOCKED)):
            raise ImportError(name + ' is blocked')
sys.meta_path.insert(0, Blocker())
from pathlib import Path
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mim_plugins.registry import MODELS
init_default_scope('mmpretrain')
for path in sorted(Path({str(ROOT)!r}, 'configs', 'demo').glob('*.py')):
    model = MODELS.build(Config.fromfile(path).model)
    images = torch.zeros(2, 3, *model.input_size, dtype=torch.uint8)
    batch = model.data_preprocessor(dict(inputs=images, data_samples=[]), True)
    target = model.target_generator
    if target.needs:
        grid = [side // target.map_stride for side in model.input_size]
        batch['target_inputs'] = dict(features=torch.randn(2, *grid, target.channels))
    print('built', path.name, model.parse_losses(model(**batch, mode='loss'))[0].isfinite().item())
print([name for name in sys.modules if name.split('.')[0] in BLOCKED or name.startswith(BLOCKED[:2])])
"""
    lines = run_python(code, tmp_path).strip().splitlines()
    demos = sorted(path.name for path in (ROOT / 'configs' / 'demo').glob('*.py'))  # every method and encoder
    assert len(demos) >= 10 and lines[-1] == '[]'
    assert [line for line in lines if line.startswith('built')] == [f'built {name} True' for name in demos]


@pytest.mark.processes
@pytest.mark.parametrize('package', [
    'mmpretrain',
    pytest.param('mmdet', marks=pytest.mark.downstream),
    pytest.param('mmseg', marks=pytest.mark.downstream),
])
def test_parts_are_found_by_their_prefix_alone(package, tmp_path):
    code = f"""
import torch
from {package}.registry import MODELS, TRANSFORMS
for target in ('HOGTarget', 'LowPassTarget'):
    options = dict(radius=5) if target == 'LowPassTarget' else dict()
    target = MODELS.build(dict(type='mim_plugins.' + target, layout='tokens', stride=16, **options))
    print(tuple(target(torch.zeros(1, 3, 32, 32)).shape))
print(TRANSFORMS.build(dict(type='mim_plugins.LoadRGBImage')).order)
print(TRANSFORMS.build(dict(type='mim_plugins.SimpleResizedCrop', scale=8)).scale)
"""
    lines = [line for line in run_python(code, tmp_path).splitlines() if 'OneDL' not in line]
    assert lines[-4:] == ['(1, 4, 108)', '(1, 4, 768)', 'bgr', '(8, 8)']


def train_step(config: dict, size: int) -> torch.Tensor:
    model = MMPRETRAIN_MODELS.build(config)
    model.init_weights()
    data = dict(inputs=torch.randint(256, (2, 3, size, size), dtype=torch.uint8),
                data_samples=[DataSample() for _ in range(2)])
    return model(**model.data_preprocessor(data, True), mode='loss')['loss']


def preprocessor(**options) -> dict:
    return dict(type='mim_plugins.MaskingDataPreprocessor', mean=[120.] * 3, std=[60.] * 3, **options)


@pytest.mark.parametrize('target, values', [
    (dict(type='mim_plugins.HOGTarget'), 108),
    (dict(type='mim_plugins.LowPassTarget', radius=10, target=dict(norm_patch=16)), 768),
    (dict(type='mim_plugins.LowPassTarget', radius=10, target=dict(type='mim_plugins.HOGTarget')), 108),
])
def test_mmpretrains_maskfeat_takes_our_masks_and_target(target, values):
    arch = dict(embed_dims=16, num_layers=1, num_heads=2, feedforward_channels=32)
    loss = train_step(
        dict(type='MaskFeat', backbone=dict(type='MaskFeatViT', arch=arch, patch_size=16, img_size=64),
             neck=dict(type='LinearNeck', in_channels=16, out_channels=values, norm_cfg=None),
             head=dict(type='MIMHead', loss=dict(type='PixelReconstructionLoss', criterion='L2')),
             target_generator=dict(layout='tokens', stride=16, **target),
             data_preprocessor=preprocessor(mask=dict(unit=16, ratio=.4), sample_mask_stride=16)), 64)
    loss.backward()
    assert loss.isfinite() and loss > 0


def test_mmpretrains_simmim_takes_our_masks():
    arch = dict(embed_dims=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2])
    loss = train_step(
        dict(type='SimMIM', backbone=dict(type='SimMIMSwinTransformer', arch=arch, img_size=64,
                                          stage_cfgs=dict(block_cfgs=dict(window_size=2))),
             neck=dict(type='SimMIMLinearDecoder', in_channels=64, encoder_stride=32),
             head=dict(type='SimMIMHead', patch_size=4,
                       loss=dict(type='PixelReconstructionLoss', criterion='L1', channel=3)),
             data_preprocessor=preprocessor(
                 mask=dict(unit=32, ratio=.6, rounding='ceil_masked'), sample_mask_stride=4)), 64)
    loss.backward()
    assert loss.isfinite() and loss > 0
