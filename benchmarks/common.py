"""What the benchmarks share: options, interleaved timing, peak memory, stored results."""
import argparse
import json
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import torch
from machine import machine

# Where results go; a trial run of everything sets another folder.
RESULTS = Path(os.environ.get('BENCHMARK_RESULTS', Path(__file__).parent / 'results'))
# glibc keeps what was freed, in each run another part of it, unless blocks from this size on are mapped one by one.
_MAPPED_FROM = 2**20
_CALLS_ON_GPU = 10


def default_device() -> torch.device:
    return torch.device('cuda' if torch.cuda.is_available() else 'cpu')


def options(description: str, gpu_batch: int, cpu_batch: int, runs: int) -> argparse.ArgumentParser:
    """A parser for images per batch and number of runs, with these defaults."""
    batch = gpu_batch if torch.cuda.is_available() else cpu_batch
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--batch', type=int, default=batch, help=f'images (default: {gpu_batch}, on a CPU {cpu_batch})')
    parser.add_argument('--runs', type=int, default=runs, help='of which the median is taken (default: %(default)s)')
    return parser


def arguments(description: str, gpu_batch: int, cpu_batch: int, runs: int) -> argparse.Namespace:
    """Images per batch and number of runs from the command line, with these defaults."""
    return options(description, gpu_batch, cpu_batch, runs).parse_args()


def interleaved(candidates: dict[str, Callable[[], object]], runs: int = 9,
                calls: int | None = None) -> dict[str, dict[str, float]]:
    """Time candidates in turn, A B A B ..., after one warm-up each.

    Args:
        candidates: By name.
        runs: Turns of each.
        calls: In a turn, whose end is waited for once. None is one on a CPU and ten where there is a GPU, so that the
            host runs ahead as in a training.

    Returns:
        Name -> ``median``, ``min`` and ``max`` in seconds.
    """
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    on_gpu = torch.cuda.is_available()
    calls = calls or (_CALLS_ON_GPU if on_gpu else 1)
    for run in range(runs + 1):
        for name, call in candidates.items():
            start = time.perf_counter()
            for _ in range(calls):
                call()
            if on_gpu:
                torch.cuda.synchronize()
            if run:
                seconds[name].append((time.perf_counter() - start) / calls)
    return {name: dict(median=statistics.median(values), min=min(values), max=max(values))
            for name, values in seconds.items()}


def in_own_process(function: Callable, *args: object) -> Any:
    """What a function of a module gives in a fresh process, so that nothing of this one counts for its memory.

    Large tensors that it frees go back to the system at once, so that its resident memory is that of living ones.

    Raises:
        BrokenProcessPool: The process died, as it does when the memory does not suffice.
    """
    os.environ.setdefault('MALLOC_MMAP_THRESHOLD_', str(_MAPPED_FROM))  # for processes that begin from here on
    with ProcessPoolExecutor(1, multiprocessing.get_context('spawn')) as pool:
        return pool.submit(function, *args).result()


def _resident(field: str) -> int:
    return 1024 * int(Path('/proc/self/status').read_text().split(f'{field}:')[1].split()[0])


def peak_growth(call: Callable[[], object], device: torch.device) -> int:
    """Bytes that a call needs at most on top of what is in use before it.

    On a GPU as torch counts them; on a CPU what the process grows by (Linux), so call it in a process of its own.
    """
    if device.type == 'cuda':
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call()
        return torch.cuda.max_memory_allocated() - before
    Path('/proc/self/clear_refs').write_text('5')  # sets the peak to the present size
    before = _resident('VmHWM')
    call()
    return _resident('VmHWM') - before


def reason(error: Exception) -> str:
    """Why something failed, in a line."""
    return f'{type(error).__name__}: {error}'.splitlines()[0]


def store(name: str, result: dict, device: torch.device | None = None) -> Path:
    """Write a result with the machine's description to ``results/<name>.<cpu or cuda>.json``.

    Args:
        name: The script's, maybe with ``-`` and what it was told to do.
        result: What was measured.
        device: Where it ran; None is where torch runs by default.
    """
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f'{name}.{(device or default_device()).type}.json'
    path.write_text(json.dumps({'machine': machine(), **result}, indent=2) + '\n')
    return path
