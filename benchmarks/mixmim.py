"""A MixMIM-B training step at 224 px against mmpretrain's, time and peak memory, in one run.

    python benchmarks/mixmim.py

A step is preprocessor, forward, backward and AdamW, from the same uint8 images: float32 on a CPU, autocast to bfloat16
on a GPU. Ours draws a mask for each sample, mmpretrain's one for the batch. Peak memory is what two steps need on top
of the built model, in a process of its own: on a GPU as torch counts it, on a CPU the growth of the process (Linux).
"""
import torch
from candidates import CANDIDATES
from common import arguments, default_device, in_own_process, interleaved, peak_growth, store
from stepping import Step, quiet
from tables import Rows, mebibytes, milliseconds, print_table

NAMES = dict(ours='MixMIM-B 224', mmpretrain='mmpretrain MixMIM-B 224')


def step(name: str, batch: int) -> Step:
    quiet()
    return CANDIDATES[NAMES[name]].step(batch, default_device())


def peak_memory(name: str, batch: int) -> int:
    """Bytes that two steps need at most on top of the built model."""
    run = step(name, batch)
    return peak_growth(lambda: (run(), run()), default_device())


def rows(result: dict) -> Rows:
    return [{'Step': name, 'ms': milliseconds(result['seconds'][name]),
             'beyond the model MiB': mebibytes(result['peak_bytes'][name])} for name in NAMES]


def notes(result: dict) -> list[str]:
    optimizer = '' if result.get('optimizer') else ', without the optimizer'
    return [f'{" x ".join(map(str, result["input"]))}, {result["precision"]}{optimizer}: ours is '
            f'{result["faster"]:.2f} times as fast and needs {100 - 100 * result["lighter"]:.0f} % of the memory.']


def main() -> None:
    args = arguments(__doc__, gpu_batch=128, cpu_batch=8, runs=9)
    memory = {name: in_own_process(peak_memory, name, args.batch) for name in NAMES}
    seconds = interleaved({name: step(name, args.batch) for name in NAMES}, args.runs)
    result = dict(
        input=[args.batch, 3, 224, 224], precision='bfloat16' if torch.cuda.is_available() else 'float32',
        optimizer='AdamW', seconds=seconds, peak_bytes=memory,
        faster=seconds['mmpretrain']['median'] / seconds['ours']['median'],
        lighter=1 - memory['ours'] / memory['mmpretrain'])
    print_table(rows(result))
    print(*notes(result), sep='\n')
    print(f'stored in {store("mixmim", result)}')


if __name__ == '__main__':
    main()
