import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
TRAIN = ROOT / 'tools' / 'train.py'
DEMO = ROOT / 'configs' / 'demo' / 'fastmim_vit-micro_bs64_demo-32.py'


def write_images(folder: Path, number: int) -> Path:
    """Pictures of noise of random sizes."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    for index in range(number):
        pixels = random.integers(256, size=(*random.integers(36, 60, size=2), 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f'{index:02}.png')
    return folder


@pytest.fixture(scope='session')
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 16 pictures."""
    return write_images(tmp_path_factory.mktemp('images'), 16)


def run_tool(*arguments: object, cwd: Path, program: str = sys.executable, ok: bool = True, **env: str) -> str:
    """Run a tool as a user would, from another folder; returns all that it printed."""
    done = subprocess.run(
        [program, *map(str, arguments)], cwd=cwd, text=True, capture_output=True, timeout=300,
        env={**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1', **env}, check=False)
    assert (done.returncode == 0) == ok, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


def small_run(images: Path, work_dir: Path, *options: str, start: tuple = (TRAIN, DEMO)) -> list[object]:
    """A command line that trains for two epochs of four iterations."""
    return [*start, '--data-root', images, '--work-dir', work_dir, '--cfg-options',
            'train_dataloader.batch_size=4', 'train_dataloader.num_workers=0', 'train_cfg.max_epochs=2',
            'default_hooks.logger.interval=1', 'param_scheduler.0.end=1', 'param_scheduler.1.end=2',
            'param_scheduler.1.T_max=1', 'default_hooks.checkpoint.interval=1', *options]
