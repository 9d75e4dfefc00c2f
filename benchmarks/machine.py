"""What a figure depends on: the machine, its threads, the versions and the commit."""
import os
import platform
import shlex
import subprocess
import sys
from pathlib import Path

import timm
import torch

from mim_plugins.check_env import installed_version, required_piece

ROOT = Path(__file__).parents[1]
# What runs of benchmarks write themselves, and nothing that they measure.
_WRITTEN = (':!benchmarks/results', ':!benchmarks/README.md')
THREAD_SETTINGS = ('OMP_NUM_THREADS', 'MKL_NUM_THREADS')
# Tensor cores, bfloat16 without sparsity, float32 accumulation: the makers' data sheets.
PEAK_TFLOPS = {
    'H200': 989., 'H100 PCIe': 756., 'H100': 989., 'A100': 312., 'L40S': 362., 'RTX 4090': 165.,
}


def _first_line(*command: str) -> str:
    """What a command prints first; nothing where it is missing or fails."""
    try:
        done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=False)
    except FileNotFoundError:
        return ''
    return done.stdout.strip().split('\n')[0]


def _processor() -> str:
    path = Path('/proc/cpuinfo')
    names = [line.split(':')[1].strip() for line in path.read_text().splitlines()
             if line.startswith('model name')] if path.exists() else []
    return names[0] if names else platform.processor()


def machine() -> dict[str, str | int | float | bool]:
    """Processor, memory, threads, accelerator, versions, commit and command that a figure depends on."""
    found = {
        'cpu': _processor(),
        'cores': os.cpu_count() or 0,
        'memory_gib': round(os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30, 1),
        'threads': torch.get_num_threads(),
        'thread_settings': ' '.join(f'{name}={os.environ[name]}' for name in THREAD_SETTINGS if name in os.environ),
        'gpu': 'none',
        'system': platform.platform(terse=True),
        'python': platform.python_version(),
        'torch': torch.__version__,
        'timm': timm.__version__,
        'mmpretrain': installed_version(required_piece('onedl-mmpretrain')) or 'none',
        'commit': _first_line('git', 'describe', '--always'),
        'dirty': bool(_first_line('git', 'status', '--porcelain', '--untracked-files=no', '--', *_WRITTEN)),
        'command': shlex.join(['python', f'benchmarks/{Path(sys.argv[0]).name}', *sys.argv[1:]]),
    }
    if torch.cuda.is_available():
        found.update(
            gpu=torch.cuda.get_device_name(),
            gpu_memory_gib=round(torch.cuda.get_device_properties(0).total_memory / 2**30, 1),
            driver=_first_line('nvidia-smi', '--query-gpu=driver_version', '--format=csv,noheader'),
            cuda=torch.version.cuda)
    return found


def peak_flops(gpu: str) -> float | None:
    """Dense bfloat16 operations per second that a GPU can do at most by its data sheet; None for an unknown one."""
    return next((1e12 * peak for name, peak in PEAK_TFLOPS.items() if name in gpu), None)
