"""HOG against mmpretrain's HOGGenerator: time and extra memory in one run.

    python benchmarks/hog.py

Memory is the growth of the process's peak during one call, each candidate in a process of its own
(Linux).
"""
import subprocess
import sys
from pathlib import Path

import torch
from common import interleaved, store

SHAPE = (32, 3, 224, 224)


def candidate(name: str):
    """The function [B, 3, H, W] -> HOG that is called ``name``."""
    if name == 'mim_plugins':
        from mim_plugins.ops import hog
        return hog
    from mmpretrain.models.selfsup.maskfeat import HOGGenerator
    return HOGGenerator(nbins=9, pool=8, gaussian_window=0)


def _peak() -> int:
    status = Path('/proc/self/status').read_text()
    return int(status.split('VmHWM:')[1].split()[0]) * 1024


def print_extra_memory(name: str) -> None:
    """Print by how many bytes one call raises the process's peak."""
    call, images = candidate(name), torch.randn(SHAPE)
    call(images[:1])
    Path('/proc/self/clear_refs').write_text('5')  # sets the peak to the present size
    before = _peak()
    call(images)
    print(_peak() - before)


def main() -> None:
    names = ('mim_plugins', 'mmpretrain')
    images = torch.randn(SHAPE)
    calls = {name: candidate(name) for name in names}
    seconds = interleaved({name: lambda call=call: call(images) for name, call in calls.items()})
    memory = {name: int(subprocess.run([sys.executable, __file__, name], check=True, text=True,
                                       capture_output=True).stdout.split()[-1]) for name in names}
    result = {
        'input': list(SHAPE),
        'seconds': seconds,
        'extra_bytes': memory,
        'speed_up': seconds['mmpretrain']['median'] / seconds['mim_plugins']['median'],
        'memory_ratio': memory['mim_plugins'] / memory['mmpretrain'],
    }
    print(f'HOG of {SHAPE}, float32, {torch.get_num_threads()} threads')
    for name in names:
        print(f'  {name:<12} {1000 * seconds[name]["median"]:7.1f} ms '
              f'({1000 * seconds[name]["min"]:.1f}-{1000 * seconds[name]["max"]:.1f})   '
              f'{memory[name] / 2**20:6.1f} MiB extra')
    print(f'  {result["speed_up"]:.1f} times as fast with {100 * result["memory_ratio"]:.0f} % of the extra memory')
    print(f'  stored in {store("hog", result)}')


if __name__ == '__main__':
    print_extra_memory(sys.argv[1]) if len(sys.argv) > 1 else main()
