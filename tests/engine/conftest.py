import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
DEMO = ROOT / 'configs' / 'demo' / 'fastmim_vit-micro_bs128_demo-32.py'


@pytest.fixture(scope='session')
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 16 pictures of random sizes."""
    folder, random = tmp_path_factory.mktemp('images'), np.random.default_rng(0)
    for number in range(16):
        pixels = random.integers(256, size=(*random.integers(36, 60, size=2), 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f'{number:02}.png')
    return folder


def run_tool(*arguments: object, cwd: Path, launcher: tuple[str, ...] = (), ok: bool = True) -> str:
    """Run a tool as a user would, from another folder; returns all that it printed."""
    done = subprocess.run(
        [sys.executable, *launcher, *map(str, arguments)], cwd=cwd, text=True, capture_output=True, timeout=300,
        env={**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'}, check=False)
    assert (done.returncode == 0) == ok, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


def small_run(images: Path, work_dir: Path, *options: str) -> list[object]:
    """Arguments of ``tools/train.py`` for two epochs of four iterations."""
    return [ROOT / 'tools' / 'train.py', DEMO, '--data-root', images, '--work-dir', work_dir, '--cfg-options',
            'train_dataloader.batch_size=4', 'train_dataloader.num_workers=0', 'train_cfg.max_epochs=2',
            'default_hooks.logger.interval=1', 'param_scheduler.0.end=1', 'param_scheduler.1.end=2',
            'param_scheduler.1.T_max=1', 'default_hooks.checkpoint.interval=1', *options]
