"""The low-pass target's share of a training step, ViT-B/16 at 224 px, in one run.

    python benchmarks/low_pass.py

The steps are one of the encoder alone on all patches and one of MAE (pixels as target), forward and backward without
the optimizer: float32 on a CPU, autocast to bfloat16 on a GPU. Both targets end with per-patch normalisation, so that
their difference is the filter.
"""
import torch
from candidates import our_model
from common import arguments, interleaved, store
from stepping import quiet
from tables import Rows, milliseconds, print_table
from torch import Tensor

from mim_plugins.analysis.held_out import fixed_masks
from mim_plugins.models import MaskedImageModel

STEPS = ('ViT-B/16 step', 'MAE step')


def encoder_step(model: MaskedImageModel, images: Tensor) -> None:
    model.zero_grad()
    model.backbone(images)[0].float().square().mean().backward()


def training_step(model: MaskedImageModel, images: Tensor, mask: Tensor) -> None:
    model.zero_grad()
    model(images, mask=mask, mode='loss')['loss'].backward()


def rows(result: dict) -> Rows:
    return [{'Call': name, 'ms': milliseconds(times)} for name, times in result['seconds'].items()]


def notes(result: dict) -> list[str]:
    said = [f'{" x ".join(map(str, result["input"]))}, {result["precision"]}.']
    return said + [f'Of one {step} the low-pass target is {100 * share["target"]:.2f} %, its filter '
                   f'{100 * share["filter"]:.2f} %.' for step, share in result['shares'].items()]


def main() -> None:
    on_gpu = torch.cuda.is_available()
    args = arguments(__doc__, gpu_batch=128, cpu_batch=4, runs=9)
    device = torch.device('cuda' if on_gpu else 'cpu')
    quiet()
    model = our_model('mae_vit-base').to(device)
    low_pass, pixels = our_model('pixmim_vit-base').target_generator.to(device), model.target_generator
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
    result = dict(input=list(images.shape), precision='bfloat16' if on_gpu else 'float32', seconds=seconds,
                  shares=shares)
    print_table(rows(result))
    print(*notes(result), sep='\n')
    print(f'stored in {store("low_pass", result)}')


if __name__ == '__main__':
    main()
