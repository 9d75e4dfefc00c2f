"""A MixMIM-B training step at 224 px against mmpretrain's, time and peak memory, in one run.

    python benchmarks/mixmim.py

A step is preprocessor, forward and backward without the optimizer, from the same uint8 images: float32 on a CPU,
autocast to bfloat16 on a GPU. Ours draws a mask for each sample, mmpretrain's one for the batch. Peak memory is what a
step needs on top of the built model: on a GPU as torch counts it, on a CPU the growth of a process of its own.
"""
import functools
import multiprocessing
import resource
from collections.abc import Callable
from pathlib import Path

import torch
from common import arguments, interleaved, store
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.registry import init_default_scope
from mmpretrain.structures import DataSample

from mim_plugins.registry import MODELS

OURS = Path(__file__).parents[1] / 'configs/_base_/models/mixmim_base.py'
MMPRETRAIN = 'mmpretrain::mixmim/mixmim_mixmim-base_16xb128-coslr-300e_in1k.py'
NAMES = ('ours', 'mmpretrain')


def step(name: str, batch: int, device: torch.device) -> Callable[[], None]:
    """A training step of a model with the released initialisation."""
    init_default_scope('mmpretrain')
    torch.manual_seed(0)
    if name == 'ours':
        model = MODELS.build(Config.fromfile(OURS).model)
    else:
        cfg = get_config(MMPRETRAIN)
        model = MODELS.build(dict(cfg.model, type='mmpretrain.MixMIM', data_preprocessor=cfg.data_preprocessor))
    model.init_weights()
    model = model.to(device).train()
    images = torch.randint(256, (batch, 3, 224, 224), dtype=torch.uint8, device=device)

    def run() -> None:
        model.zero_grad()
        data = dict(inputs=images, data_samples=[DataSample() for _ in range(batch)])
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == 'cuda'):
            model(**model.data_preprocessor(data, True), mode='loss')['loss'].backward()

    return run


def peak_memory(name: str, batch: int, device: torch.device) -> int:
    """Bytes that two steps need at most on top of the built model."""
    run = step(name, batch, device)
    if device.type == 'cuda':
        run()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run()
        return torch.cuda.max_memory_allocated() - before
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    run()
    run()
    return 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)


def main() -> None:
    on_gpu = torch.cuda.is_available()
    args = arguments(__doc__, gpu_batch=128, cpu_batch=8, runs=9)
    device = torch.device('cuda' if on_gpu else 'cpu')
    with multiprocessing.get_context('spawn').Pool(1, maxtasksperchild=1) as pool:  # a process for each
        memory = dict(zip(NAMES, pool.map(
            functools.partial(peak_memory, batch=args.batch, device=device), NAMES, chunksize=1), strict=True))
    seconds = interleaved({name: step(name, args.batch, device) for name in NAMES}, args.runs)
    faster = seconds['mmpretrain']['median'] / seconds['ours']['median']
    lighter = 1 - memory['ours'] / memory['mmpretrain']
    precision = 'bfloat16' if on_gpu else 'float32'
    print(f'batch {args.batch}, {precision} on {device.type}, {torch.get_num_threads()} threads')
    for name, times in seconds.items():
        print(f'  {name:<12}{1000 * times["median"]:8.0f} ms ({1000 * times["min"]:.0f}-{1000 * times["max"]:.0f}), '
              f'{memory[name] / 2**20:8.0f} MiB')
    print(f'  ours is {faster:.2f} times as fast and {100 * lighter:.0f} % lighter')
    path = store('mixmim', dict(input=[args.batch, 3, 224, 224], precision=precision, seconds=seconds,
                                peak_bytes=memory, faster=faster, lighter=lighter))
    print(f'  stored in {path}')


if __name__ == '__main__':
    main()
