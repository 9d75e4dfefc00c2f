"""The low-pass target's share of a training step, ViT-B/16 at 224 px, in one run.

    python benchmarks/low_pass.py

The steps are one of the encoder alone on all patches and one of MAE (pixels as target), forward and backward without
the optimizer: float32 on a CPU, autocast to bfloat16 on a GPU. Both targets end with per-patch normalisation, so that
their difference is the filter.
"""
from pathlib import Path

import torch
from common import arguments, interleaved, store
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import Tensor

from mim_plugins.analysis.held_out import fixed_masks
from mim_plugins.models import MaskedImageModel
from mim_plugins.registry import MODELS

MODEL_CONFIGS = Path(__file__).parents[1] / 'configs/_base_/models'
STEPS = ('ViT-B/16 step', 'MAE step')


def build(name: str) -> MaskedImageModel:
    return MODELS.build(Config.fromfile(MODEL_CONFIGS / f'{name}.py').model)


def encoder_step(model: MaskedImageModel, images: Tensor) -> None:
    model.zero_grad()
    model.backbone(images)[0].float().square().mean().backward()


def training_step(model: MaskedImageModel, images: Tensor, mask: Tensor) -> None:
    model.zero_grad()
    model(images, mask=mask, mode='loss')['loss'].backward()


def main() -> None:
    on_gpu = torch.cuda.is_available()
    args = arguments(__doc__, gpu_batch=128, cpu_batch=4, runs=9)
    device = torch.device('cuda' if on_gpu else 'cpu')
    init_default_scope('mmpretrain')
    model = build('mae_vit-base').to(device)
    low_pass, pixels = build('pixmim_vit-base').target_generator.to(device), model.target_generator
    images, mask = torch.randn(args.batch, 3, 224, 224, device=device), fixed_masks(model, args.batch)
    with torch.autocast(device.type, torch.bfloat16, enabled=on_gpu):
        seconds = interleaved({
            'low-pass target': lambda: low_pass(images),
            'pixel target': lambda: pixels(images),
            'ViT-B/16 step': lambda: encoder_step(model, images),
            'MAE step': lambda: training_step(model, images, mask),
        }, args.runs)
    target = seconds['low-pass target']['median']
    extra = target - seconds['pixel target']['median']
    shares = {step: dict(target=target / seconds[step]['median'], filter=extra / seconds[step]['median'])
              for step in STEPS}
    precision = 'bfloat16' if on_gpu else 'float32'
    print(f'batch {args.batch}, {precision} on {device.type}, {torch.get_num_threads()} threads')
    for name, times in seconds.items():
        print(f'  {name:<16}{1000 * times["median"]:8.1f} ms ({1000 * times["min"]:.1f}-{1000 * times["max"]:.1f})')
    for step, share in shares.items():
        print(f'  of one {step} the low-pass target is {100 * share["target"]:.2f} %, '
              f'its filter {100 * share["filter"]:.2f} %')
    path = store('low_pass', dict(input=list(images.shape), precision=precision, seconds=seconds, shares=shares))
    print(f'  stored in {path}')


if __name__ == '__main__':
    main()
