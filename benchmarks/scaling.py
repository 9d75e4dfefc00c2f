"""Images per second of two processes against one, and what to expect of 8 and 64 GPUs.

    python benchmarks/scaling.py                    # CPU: one thread per process, gloo
    python benchmarks/scaling.py --processes 8      # GPUs: NCCL

The batch per process stays the same (weak scaling). Every process group trains FastMIM with a narrow ViT on synthetic
images, with mmengine's DDP as it comes and with ours (static graph, gradients in the buckets), in turn. While one
process is timed the others wait, so that all is one run on one machine. On a GPU the model is FastMIM ViT-B in bf16.
The table of 8 and 64 GPUs is arithmetic (mim_plugins/analysis/expected_scaling.py); FLOPs are counted on the recipes.
"""
import argparse
import json
import logging
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path

import torch
import torch.distributed as dist
from common import store
from mmengine.config import Config
from mmengine.model import MMDistributedDataParallel
from mmengine.registry import init_default_scope
from tables import Rows, print_table
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mim_plugins.analysis.expected_scaling import Cluster, Training, expected_scaling
from mim_plugins.engine.parallel import ReplicatedModel
from mim_plugins.registry import MODELS

CONFIGS = Path(__file__).parents[1] / 'configs'
NARROW = dict(embed_dims=192, num_layers=6, num_heads=6, feedforward_channels=768)
RECIPES = {
    'FastMIM ViT-B 128': 'fastmim/fastmim_vit-base_8xb256-amp-800e_in1k-128.py',
    'SimMIM Swin-B 192': 'simmim/simmim_swin-base_16xb128-amp-100e_in1k-192.py',
    'FastMIM ViT-L 128': 'fastmim/fastmim_vit-large_8xb256-amp-800e_in1k-128.py',
}
GBITS = (200, 400)
ALONE = 'one process'


def build(on_gpu: bool) -> nn.Module:
    """FastMIM with ViT-B, on a CPU a narrow one."""
    cfg = Config.fromfile(CONFIGS / RECIPES['FastMIM ViT-B 128']).model
    if not on_gpu:
        cfg.backbone.arch = NARROW
        cfg.neck.update(in_channels=NARROW['embed_dims'], embed_dims=96)
    torch.manual_seed(0)
    model = MODELS.build(cfg)
    model.init_weights()
    return model.train()


def step(model: nn.Module, batch: int, device: torch.device) -> Callable[[], None]:
    """A training step on synthetic images."""
    inner = getattr(model, 'module', model)
    optimizer = torch.optim.AdamW(inner.parameters(), lr=1e-4)
    images = torch.randint(256, (batch, 3, *inner.input_size), dtype=torch.uint8, device=device)

    def run() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == 'cuda'):
            given = inner.data_preprocessor(dict(inputs=images, data_samples=[]), training=True)
            loss = model(**given, mode='loss')['loss']
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return run


def seconds(run: Callable[[], None], steps: int, alone: bool) -> float:
    """Of so many steps; of the first process alone while the others wait, or of all together."""
    dist.barrier()
    start = time.perf_counter()
    if not alone or dist.get_rank() == 0:
        for _ in range(steps):
            run()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
    taken = time.perf_counter() - start
    dist.barrier()
    return taken


def measure(rank: int, processes: int, batch: int, runs: int, steps: int, path: str) -> None:
    """Time all candidates in turn; the first process writes their seconds."""
    on_gpu = torch.cuda.is_available()
    torch.set_num_threads(1)
    device = torch.device('cuda', rank) if on_gpu else torch.device('cpu')
    if on_gpu:
        torch.cuda.set_device(device)
    dist.init_process_group('nccl' if on_gpu else 'gloo', rank=rank, world_size=processes)
    logging.disable(logging.WARNING)
    init_default_scope('mmpretrain')
    wrap = partial(MMDistributedDataParallel, device_ids=[rank] if on_gpu else None, broadcast_buffers=False)
    models = {ALONE: build(on_gpu).to(device), "mmengine's DDP": wrap(build(on_gpu).to(device)),
              'ours': ReplicatedModel(build(on_gpu).to(device), device_ids=[rank])}
    candidates = {name: step(model, batch, device) for name, model in models.items()}
    taken: dict[str, list[float]] = {name: [] for name in candidates}
    for run in range(runs + 1):
        for name, call in candidates.items():
            found = seconds(call, steps, alone=name == ALONE)
            if run:  # after a warm-up
                taken[name].append(found)
    if rank == 0:
        Path(path).write_text(json.dumps(taken))
    dist.destroy_process_group()


def counted(recipe: str) -> Training:
    """Parameters, batch and FLOPs of a recipe."""
    cfg = Config.fromfile(CONFIGS / recipe)
    model = MODELS.build(cfg.model).eval()
    given = model.data_preprocessor(dict(
        inputs=torch.zeros(1, 3, *model.input_size, dtype=torch.uint8), data_samples=[]))
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(**given, mode='loss')
    trained = sum(value.numel() for value in model.parameters() if value.requires_grad)
    return Training(trained, counter.get_total_flops(), cfg.train_dataloader.batch_size,
                    recomputed=cfg.model.backbone.get('with_cp', False))


def expected() -> dict[str, dict]:
    """The arithmetic for all recipes, networks and numbers of GPUs."""
    init_default_scope('mmpretrain')
    found = {}
    for name, recipe in RECIPES.items():
        training = counted(recipe)
        found[name] = dict(asdict(training), expected={
            f'{gpus} GPUs, {gbits} Gbit/s': expected_scaling(training, gpus, Cluster(network=gbits / 8 * 1e9))
            for gpus, gbits in ((8, GBITS[-1]), *((64, gbits) for gbits in GBITS))})
    return found


def rows(result: dict) -> Rows:
    rates = result['images_per_second']
    return [{'processes': '1' if name == ALONE else f'{result["processes"]}, {name}', 'images/s': f'{rate:.1f}',
             'times one': f'{rate / rates[ALONE]:.2f}'} for name, rate in rates.items()]


def notes(result: dict) -> list[str]:
    return [f'{result["batch"]} images per process, {result["backend"]}.', *(
        f'Expected of {name} on {where}: {values["speedup"]:.1f} times one GPU ({100 * values["efficiency"]:.1f} %).'
        for name, found in result['expected'].items() for where, values in found['expected'].items())]


def main() -> None:
    on_gpu = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--processes', type=int, default=torch.cuda.device_count() if on_gpu else 2)
    parser.add_argument('--batch', type=int, default=256 if on_gpu else 32, help='images per process')
    parser.add_argument('--runs', type=int, default=7, help='of which the median is taken')
    parser.add_argument('--steps', type=int, default=20 if on_gpu else 4, help='per run')
    args = parser.parse_args()
    os.environ.setdefault('MASTER_ADDR', '127.0.0.1')
    os.environ.setdefault('MASTER_PORT', '29500')
    with tempfile.TemporaryDirectory() as folder:
        file = f'{folder}/seconds.json'
        torch.multiprocessing.spawn(
            measure, (args.processes, args.batch, args.runs, args.steps, file), nprocs=args.processes)
        taken = json.loads(Path(file).read_text())
    images = args.batch * args.steps
    rates = {name: images * (1 if name == ALONE else args.processes) / statistics.median(values)
             for name, values in taken.items()}
    result = dict(
        processes=args.processes, batch=args.batch, backend='nccl' if on_gpu else 'gloo', seconds=taken,
        images_per_second=rates, efficiency={name: rate / rates[ALONE] / args.processes
                                             for name, rate in rates.items() if name != ALONE},
        assumptions=asdict(Cluster()), expected=expected())
    print_table(rows(result))
    print(*notes(result), sep='\n')
    print(f'stored in {store("scaling", result)}')


if __name__ == '__main__':
    main()
