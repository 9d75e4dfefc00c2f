"""HOG against mmpretrain's HOGGenerator: time and extra memory in one run.

    python benchmarks/hog.py

Memory is what one call needs at most beyond what is in use before it, each candidate in a process of its own: on a GPU
as torch counts it, on a CPU the growth of the process (Linux). Float32.
"""
import torch
from common import arguments, default_device, in_own_process, interleaved, peak_growth, store
from tables import Rows, mebibytes, milliseconds, print_table

NAMES = ('mim_plugins', 'mmpretrain')
SIZE = 224


def candidate(name: str):
    """The function [B, 3, H, W] -> HOG that is called ``name``."""
    if name == 'mim_plugins':
        from mim_plugins.ops import hog
        return hog
    from mmpretrain.models.selfsup.maskfeat import HOGGenerator
    return HOGGenerator(nbins=9, pool=8, gaussian_window=0).to(default_device())


def extra_memory(name: str, batch: int) -> int:
    """Bytes that one call needs at most."""
    call, images = candidate(name), torch.randn(batch, 3, SIZE, SIZE, device=default_device())
    call(images[:1])
    return peak_growth(lambda: call(images), images.device)


def rows(result: dict) -> Rows:
    return [{'HOG': name, 'ms': milliseconds(result['seconds'][name]),
             'extra MiB': mebibytes(result['extra_bytes'][name])} for name in NAMES]


def notes(result: dict) -> list[str]:
    return [f'{" x ".join(map(str, result["input"]))}, float32: {result["speed_up"]:.1f} times as fast with '
            f'{100 * result["memory_ratio"]:.0f} % of the extra memory.']


def main() -> None:
    args = arguments(__doc__, gpu_batch=256, cpu_batch=32, runs=9)
    images = torch.randn(args.batch, 3, SIZE, SIZE, device=default_device())
    calls = {name: candidate(name) for name in NAMES}
    seconds = interleaved({name: lambda call=call: call(images) for name, call in calls.items()}, args.runs)
    memory = {name: in_own_process(extra_memory, name, args.batch) for name in NAMES}
    result = {
        'input': list(images.shape),
        'seconds': seconds,
        'extra_bytes': memory,
        'speed_up': seconds['mmpretrain']['median'] / seconds['mim_plugins']['median'],
        'memory_ratio': memory['mim_plugins'] / memory['mmpretrain'],
    }
    print_table(rows(result))
    print(*notes(result), sep='\n')
    print(f'stored in {store("hog", result)}')


if __name__ == '__main__':
    main()
