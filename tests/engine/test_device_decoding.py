"""Trainings whose data preprocessor decodes the JPEGs."""
import json
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
from mmengine.runner import Runner
from PIL import Image

from mim_plugins.engine import launch

from ..runs import ROOT, no_workers_left

CONFIG = ROOT / 'configs' / 'demo' / 'fastmim-p_swin-micro_bs64_demo-32-64.py'
CROP = dict(type='mim_plugins.RandomResizedCrop', scale=32, crop_ratio_range=(0.5, 1.0), backend='pillow',
            interpolation='bicubic')
SLOW = [dict(type='mim_plugins.LoadRGBImage'), CROP, dict(type='RandomFlip', prob=.5), dict(type='PackInputs')]


@pytest.fixture(scope='module')
def jpegs(tmp_path_factory) -> Path:
    folder, random = tmp_path_factory.mktemp('jpegs'), np.random.default_rng(0)
    for index in range(8):
        noise = Image.fromarray(random.integers(256, size=(6, 8, 3), dtype=np.uint8))
        noise.resize((96, 72), Image.Resampling.BICUBIC).save(folder / f'{index}.jpg', quality=95)
    return folder


def losses(jpegs: Path, work_dir: Path, pipeline: list[dict], collate: str) -> list[float]:
    """Of an epoch of two iterations at each of 32, 48 and 64 px."""
    cfg = launch.prepare_training(Namespace(
        config=str(CONFIG), data_root=str(jpegs), work_dir=str(work_dir), resume=None, encoder=None, amp=None,
        auto_scale_lr=False, launcher='none', cfg_options={
            'train_dataloader.batch_size': 4, 'train_dataloader.num_workers': 1,
            'train_dataloader.dataset.indices': None, 'train_dataloader.dataset.pipeline': pipeline,
            'train_dataloader.collate_fn.type': collate, 'default_hooks.logger.interval': 1}))
    cfg.experiment_name = work_dir.name
    with no_workers_left():
        Runner.from_cfg(cfg).train()
    lines = (json.loads(line) for path in work_dir.glob('*/vis_data/scalars.json')
             for line in path.read_text().splitlines())
    return [line['loss'] for line in lines if 'loss' in line]


@pytest.mark.processes
def test_trains_in_stages_as_on_pictures_that_workers_decode(jpegs, tmp_path):
    slow = losses(jpegs, tmp_path / 'workers', SLOW, 'default_collate')
    fast = losses(jpegs, tmp_path / 'device', [dict(type='mim_plugins.PackEncodedCrop', crop=CROP)],
                  'mim_plugins.collate_encoded')
    assert len(slow) == 6 and len(set(slow)) == 6
    assert fast == pytest.approx(slow, rel=1e-2) and fast[0] == pytest.approx(slow[0], rel=2e-3)
