"""Whole trainings of two processes through the tools."""
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from mim_plugins.analysis.curves import read_scalars

from ...runs import DEMO, ROOT, TRAIN, free_port, run_tool_in_two, small_run

pytestmark = pytest.mark.processes


def train(images: Path, work_dir: Path, *options: str, last: Sequence[object] = (), ok: bool = True) -> str:
    return run_tool_in_two(*small_run(images, work_dir, *options), *last, cwd=work_dir.parent, ok=ok)


def losses(work_dir: Path) -> list[float]:
    return [line['loss'] for line in sorted(read_scalars(work_dir), key=lambda line: line['step'])]


def test_fsdp_trains_saves_and_goes_on_as_ddp_does(images, tmp_path):
    """From a checkpoint of its own and of DDP; DDP goes on from one of FSDP."""
    ddp, fsdp, from_ddp, from_fsdp = (tmp_path / name for name in ('ddp', 'fsdp', 'from_ddp', 'from_fsdp'))
    clip = 'optim_wrapper.clip_grad.max_norm=1'
    train(images, ddp, clip)
    train(images, fsdp, clip, 'train_cfg.max_epochs=1', last=['--fsdp'])
    train(images, from_fsdp, clip, last=['--resume', fsdp / 'epoch_1.pth'])
    train(images, from_ddp, clip, last=['--fsdp', '--resume', ddp / 'epoch_1.pth'])
    train(images, fsdp, clip, last=['--fsdp', '--resume'])
    straight = losses(ddp)
    assert len(straight) == 4 and losses(fsdp) == pytest.approx(straight, rel=1e-5)
    assert all(losses(folder) == pytest.approx(straight[2:], rel=1e-5) for folder in (from_ddp, from_fsdp))
    first, *others = (torch.load(folder / 'epoch_2.pth', weights_only=False)
                      for folder in (ddp, fsdp, from_ddp, from_fsdp))
    for other in others:
        assert list(other['state_dict']) == list(first['state_dict'])
        for name, value in first['state_dict'].items():
            assert type(other['state_dict'][name]) is torch.Tensor
            torch.testing.assert_close(other['state_dict'][name], value, rtol=1e-4, atol=1e-4)
        assert other['optimizer']['state'].keys() == first['optimizer']['state'].keys()
        assert {type(value) for state in other['optimizer']['state'].values() for value in state.values()} == {
            torch.Tensor}


@pytest.mark.parametrize('options, last, sentence', [
    (['default_hooks.ema.type=EMAHook'], ['--fsdp'], 'EMAHook needs a copy of the model, but'),
    (['default_hooks.held_out.type=mim_plugins.HeldOutLossHook', 'default_hooks.held_out.images={images}'], ['--fsdp'],
     'HeldOutLossHook needs a masked image model .* within DistributedDataParallel, but got FSDPFastMIM'),
])
def test_what_needs_the_whole_model_is_refused_with_fsdp(images, tmp_path, options, last, sentence):
    printed = train(images, tmp_path / 'run', *(option.format(images=images) for option in options), last=last,
                    ok=False)
    assert re.search(sentence, printed)


@pytest.mark.slow
def test_two_nodes_train_one_model(images, tmp_path):
    """Two agents of torchrun on this machine, one process each, that meet as two machines would."""
    command = small_run(images, tmp_path / 'run', 'train_cfg.max_epochs=1', start=(
        '-m', 'torch.distributed.run', '--nnodes', 2, '--nproc_per_node', 1, '--rdzv_backend', 'c10d',
        '--rdzv_endpoint', f'127.0.0.1:{free_port()}', '--rdzv_id', 'test', TRAIN, DEMO, '--launcher', 'pytorch'))
    nodes = [subprocess.Popen(
        [sys.executable, *map(str, command)], cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={'PATH': '/usr/bin:/bin', 'HOME': str(tmp_path), 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'})
        for _ in range(2)]
    printed = [node.communicate(timeout=300)[0] for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], '\n'.join(printed)[-3000:]
    summaries = [text for text in printed if '2 processes x 4 images x 1 accumulated = 8' in text]
    assert len(summaries) == 1  # the first process alone writes
    assert [path.name for path in (tmp_path / 'run').glob('*.pth')] == ['epoch_1.pth']
    assert len(list((tmp_path / 'run').glob('*/*.log'))) == 1 and len(losses(tmp_path / 'run')) == 2
