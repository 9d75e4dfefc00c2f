"""Three ways to keep two groups of tokens apart in global attention, forward and backward, in one run.

    python benchmarks/group_attention.py

`columns` is what windows have here (`ops.separate_groups`): the relative-position bias stays shared. `mask` adds a mask
for each sample to the bias. `gathered` attends the tokens of each group by themselves, with the bias gathered for each
sample where there is one; a plain ViT does so here, once for all its blocks. Float32 on a CPU, bfloat16 on a GPU.
"""
import functools
from collections.abc import Callable

import torch
import torch.nn.functional as F
from common import arguments, interleaved, store
from tables import Rows, milliseconds, print_table
from torch import Tensor

from mim_plugins.ops import random_masks, resize_mask, same_group, separate_groups

# Heads, channels per head, tokens along each axis, whether there is a bias: MixMIM-B's last two stages, ViT-B/16.
CASES = {
    'MixMIM-B, stage 3': (16, 32, 14, True),
    'MixMIM-B, stage 4': (32, 32, 7, True),
    'ViT-B/16': (12, 64, 14, False),
}


def columns(query: Tensor, key: Tensor, value: Tensor, groups: Tensor, bias: Tensor | None) -> Tensor:
    scale = query.shape[-1]**-.5
    return F.scaled_dot_product_attention(*separate_groups(query, key, groups, scale), value, bias, scale=scale)


def mask(query: Tensor, key: Tensor, value: Tensor, groups: Tensor, bias: Tensor | None) -> Tensor:
    allowed = same_group(groups, groups)
    return F.scaled_dot_product_attention(
        query, key, value, allowed if bias is None else torch.where(allowed, bias, float('-inf')))


def gathered(query: Tensor, key: Tensor, value: Tensor, groups: Tensor, bias: Tensor | None) -> Tensor:
    order, own = groups.to(torch.uint8).argsort(dim=1, stable=True), int((~groups[0]).sum())
    parts = []
    for places in (order[:, :own], order[:, own:]):
        index = places[:, None, :, None].expand(-1, query.shape[1], -1, query.shape[-1])
        pairs = None if bias is None else bias[:, places[:, :, None], places[:, None]].transpose(0, 1)
        parts.append(F.scaled_dot_product_attention(
            *(part.gather(2, index) for part in (query, key, value)), pairs))
    back = order.argsort(1)[:, None, :, None].expand_as(query)
    return torch.cat(parts, dim=2).gather(2, back)


def step(way: Callable[..., Tensor], inputs: tuple[Tensor | None, ...]) -> None:
    way(*inputs).sum().backward()


def rows(result: dict) -> Rows:
    ways = [way.__name__ for way in (columns, mask, gathered)]
    return [{'Attention, ms': case, **{way: milliseconds(times[way]) if way in times else '' for way in ways}}
            for case, times in result['seconds'].items()]


def notes(result: dict) -> list[str]:
    return [f'Batch {result["batch"]}, {result["precision"]}.']


def main() -> None:
    on_gpu = torch.cuda.is_available()
    args = arguments(__doc__, gpu_batch=128, cpu_batch=8, runs=25)
    device, dtype = ('cuda', torch.bfloat16) if on_gpu else ('cpu', torch.float32)
    results = {}
    for case, (heads, width, side, biased) in CASES.items():
        parts = [torch.randn(args.batch, heads, side**2, width, device=device, dtype=dtype, requires_grad=True)
                 for _ in range(3)]
        units = random_masks(args.batch, (7, 7), .5, 'floor_masked', device=device)
        bias = torch.randn(heads, side**2, side**2, device=device, dtype=dtype, requires_grad=True) if biased else None
        inputs = (*parts, resize_mask(units, (side, side)).flatten(1), bias)
        ways = (columns, mask, gathered) if biased else (mask, gathered)
        for way in ways:
            torch.testing.assert_close(way(*inputs), mask(*inputs), atol=3e-2 if on_gpu else 1e-4, rtol=0)
        results[case] = interleaved({way.__name__: functools.partial(step, way, inputs) for way in ways}, args.runs)
    result = dict(batch=args.batch, precision=str(dtype), seconds=results)
    print_table(rows(result))
    print(*notes(result), sep='\n')
    print(f'stored in {store("group_attention", result)}')


if __name__ == '__main__':
    main()
