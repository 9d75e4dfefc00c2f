"""What the benchmarks share: a description of the machine, interleaved timing, stored results."""
import argparse
import json
import platform
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import torch

from mim_plugins.check_env import MMPRETRAIN, installed_version

RESULTS = Path(__file__).parent / 'results'


def arguments(description: str, gpu_batch: int, cpu_batch: int, runs: int) -> argparse.Namespace:
    """Images per batch and number of runs from the command line, with these defaults."""
    batch = gpu_batch if torch.cuda.is_available() else cpu_batch
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--batch', type=int, default=batch, help=f'images (default: {gpu_batch}, on a CPU {cpu_batch})')
    parser.add_argument('--runs', type=int, default=runs, help='of which the median is taken (default: %(default)s)')
    return parser.parse_args()


def machine() -> dict[str, str | int]:
    """Processor, threads and versions that a figure depends on."""
    names = [line.split(':')[1].strip() for line in Path('/proc/cpuinfo').read_text().splitlines()
             if line.startswith('model name')] if Path('/proc/cpuinfo').exists() else []
    commit = subprocess.run(['git', 'describe', '--always', '--dirty'], cwd=RESULTS.parent, text=True,
                            capture_output=True, check=False).stdout.strip()
    return {
        'cpu': names[0] if names else platform.processor(),
        'threads': torch.get_num_threads(),
        'gpu': torch.cuda.get_device_name() if torch.cuda.is_available() else 'none',
        'python': platform.python_version(),
        'torch': torch.__version__,
        'mmpretrain': installed_version(MMPRETRAIN) or 'none',
        'commit': commit,
    }


def interleaved(candidates: dict[str, Callable[[], object]], runs: int = 9) -> dict[str, dict[str, float]]:
    """Time candidates in turn, A B A B ..., after one warm-up each.

    Returns:
        Name -> ``median``, ``min`` and ``max`` in seconds.
    """
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for run in range(runs + 1):
        for name, call in candidates.items():
            start = time.perf_counter()
            call()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if run:
                seconds[name].append(time.perf_counter() - start)
    return {name: dict(median=statistics.median(values), min=min(values), max=max(values))
            for name, values in seconds.items()}


def store(name: str, result: dict) -> Path:
    """Write a result with the machine's description to ``results/<name>.json``."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f'{name}.json'
    path.write_text(json.dumps({'machine': machine(), **result}, indent=2) + '\n')
    return path
