"""The other repositories' own commands run our configs and parts, from another folder and in a fresh process."""
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mim_plugins.datasets.demo import DemoOptions, make_demo_data
from mim_plugins.registry import MODELS

from ..runs import DEMO, MIM, ROOT, TRAIN, needs_mim, run_process, run_tool, write_images

pytestmark = [pytest.mark.slow, pytest.mark.processes]
RECIPES = ROOT / 'configs/demo/transfer'
CASES = {'mmdetection': ('fastmim_vit-micro_mask-rcnn_demo.py', 'coco/segm_mAP'),
         'mmsegmentation': ('fastmim_vit-micro_upernet_demo.py', 'mIoU')}


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with a handful of demo pictures and a checkpoint of the quick start's encoder."""
    folder = tmp_path_factory.mktemp('elsewhere')
    make_demo_data(folder / 'data/demo', DemoOptions(
        images=1, train=10, val=10, dense_train=8, dense_val=2, sets=('detection', 'segmentation')))
    torch.save(dict(state_dict=MODELS.build(Config.fromfile(DEMO).model).state_dict(), meta={}), folder / 'encoder.pth')
    return folder


def mim(*arguments: object, cwd: Path) -> str:
    return run_process(*arguments, '--gpus', 0, cwd=cwd, program=str(MIM), PYTHONPATH='')


@needs_mim
@pytest.mark.downstream
@pytest.mark.parametrize('package', CASES)
def test_mim_trains_and_tests_our_configs(package, folder):
    recipe, metric = CASES[package]
    printed = mim('train', package, RECIPES / recipe, '--work-dir', package, '--cfg-options',
                  'train_cfg.max_iters=2', 'train_cfg.val_interval=2', 'param_scheduler.0.end=1',
                  'param_scheduler.1.begin=1', 'param_scheduler.1.end=2', 'default_hooks.checkpoint.interval=2',
                  'default_hooks.encoder.checkpoint=encoder.pth', cwd=folder)
    assert '52 of 52 encoder tensors loaded from encoder.pth' in printed and metric in printed
    assert 'images         8, 2 iterations' in printed
    tested = mim('test', package, RECIPES / recipe, '--checkpoint', f'{package}/iter_2.pth', '--work-dir', 'tested',
                 cwd=folder)
    assert metric in tested


def test_our_tools_train_and_test_a_classifier(tmp_path):
    make_demo_data(tmp_path / 'data/demo', DemoOptions(images=1, train=20, val=10, sets=('classification', )))
    torch.save(dict(state_dict=MODELS.build(Config.fromfile(DEMO).model).state_dict(), meta={}), tmp_path / 'a.pth')
    config = RECIPES / 'fastmim_vit-micro_ft_demo.py'
    trained = run_tool(TRAIN, config, '--encoder', 'a.pth', '--work-dir', 'run', '--cfg-options',
                       'train_cfg.max_epochs=1', 'train_dataloader.batch_size=10', 'param_scheduler.1.end=2',
                       'param_scheduler.1.T_max=1', 'default_hooks.checkpoint.interval=1', cwd=tmp_path)
    assert '52 of 54 encoder tensors loaded from a.pth, 0 resized, new: ln2.weight, ln2.bias' in trained
    tested = run_process(ROOT / 'tools/dist_test.sh', config, 'run/epoch_1.pth', 2, '--work-dir', 'tested',
                         cwd=tmp_path, program='bash', PYTHON=sys.executable)
    assert 'accuracy/top1' in tested


MASKFEAT = """
default_scope = 'mmpretrain'
model = dict(
    type='MaskFeat',
    backbone=dict(type='MaskFeatViT', patch_size=16, img_size=32,
                  arch=dict(embed_dims=16, num_layers=1, num_heads=2, feedforward_channels=32)),
    neck=dict(type='LinearNeck', in_channels=16, out_channels=108, norm_cfg=None),
    head=dict(type='MIMHead', loss=dict(type='PixelReconstructionLoss', criterion='L2')),
    target_generator=dict(type='mim_plugins.HOGTarget', layout='tokens', stride=16),
    data_preprocessor=dict(
        type='mim_plugins.MaskingDataPreprocessor', mask=dict(unit=16, ratio=0.5), sample_mask_stride=16,
        mean=[120.] * 3, std=[60.] * 3, to_rgb=True))
train_dataloader = dict(
    batch_size=2, num_workers=0, persistent_workers=False, sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
    dataset=dict(type='CustomDataset', data_root='images', pipeline=[
        dict(type='mim_plugins.LoadRGBImage'), dict(type='RandomResizedCrop', scale=32), dict(type='PackInputs')]))
optim_wrapper = dict(optimizer=dict(type='SGD', lr=.1))
train_cfg = dict(by_epoch=True, max_epochs=1)
default_hooks = dict(logger=dict(type='LoggerHook', interval=1))
"""


@needs_mim
def test_mmpretrains_own_command_trains_its_method_with_our_parts(tmp_path):
    write_images(tmp_path / 'images' / 'all', 4)
    (tmp_path / 'maskfeat.py').write_text(MASKFEAT)
    printed = mim('train', 'mmpretrain', 'maskfeat.py', '--work-dir', 'run', cwd=tmp_path)
    assert 'loss: ' in printed and (tmp_path / 'run/epoch_1.pth').is_file()
    assert 'custom_imports' not in printed
