"""Attention of our encoders against mmpretrain's and one by hand: forward and backward, time and memory, in one run.

    python benchmarks/attention.py

The modules are taken from encoders as the recipes build them, with tokens of the same shape. Of a Swin they are one
layer without and one with shifted windows, with the windows' cutting and joining. Float32 on a CPU, autocast to
bfloat16 on a GPU. Memory is what a call needs at most beyond what is in use before it, in a process of its own: on a
GPU as torch counts it, on a CPU the growth of the process (Linux).
"""
from collections.abc import Callable
from typing import NamedTuple

import torch
from common import arguments, default_device, in_own_process, interleaved, peak_growth, store
from mmpretrain.models import BEiTViT, SwinTransformer, SwinTransformerV2, VisionTransformer
from stepping import quiet
from tables import Rows, mebibytes, milliseconds, print_table
from torch import Tensor, nn

from mim_plugins.models import ResizableBEiT, ResizableSwin, ResizableSwinV2, SinCosVisionTransformer

SWIN_B = dict(embed_dims=128, depths=[2, 2, 2, 2], num_heads=[4, 8, 16, 32])
VIT_B = dict(embed_dims=768, num_layers=1, num_heads=12, feedforward_channels=3072)
SHARED = dict(arch=VIT_B, img_size=224, use_rel_pos_bias=False)
Built = tuple[nn.Module, Callable[[Tensor], Tensor]]  # the parameters' owner, and the call


class Case(NamedTuple):
    """Attentions that take the same tokens.

    Attributes:
        tokens: Number and width.
        ways: Builders by name.
    """
    tokens: tuple[int, int]
    ways: dict[str, Callable[[], Built]]


def swin(encoder: nn.Module, size: int, stage: int) -> Built:
    layers = nn.ModuleList(block.attn for block in encoder.stages[stage].blocks)
    grid = (size // 4 // 2**stage, ) * 2

    def call(tokens: Tensor) -> Tensor:
        for layer in layers:
            tokens = layer(tokens, grid)
        return tokens

    return layers, call


def vit(encoder: nn.Module) -> Built:
    layer, shared = encoder.layers[0].attn, getattr(encoder, 'rel_pos_bias', None)
    if shared is None:
        return layer, layer
    return nn.ModuleList([layer, shared]), lambda tokens: layer(tokens, rel_pos_bias=shared())


def swin_case(size: int, window: int, stage: int) -> Case:
    stages = dict(block_cfgs=dict(window_size=window))
    return Case((size**2 // 16 // 4**stage, 128 * 2**stage), {
        'ours': lambda: swin(ResizableSwin(SWIN_B, size, window_size=window), size, stage),
        'mmpretrain': lambda: swin(SwinTransformer(SWIN_B, size, stage_cfgs=stages), size, stage)})


def swin_v2_case(size: int, window: int, stage: int) -> Case:
    arch = dict(SWIN_B, extra_norm_every_n_blocks=0)
    windows = [min(window, size // 4 // 2**number) for number in range(4)]
    return Case((size**2 // 16 // 4**stage, 128 * 2**stage), {
        'ours': lambda: swin(ResizableSwinV2(arch, size, window_size=window), size, stage),
        'mmpretrain': lambda: swin(SwinTransformerV2(arch, size, window_size=windows), size, stage)})


def vit_case(size: int) -> Case:
    return Case((size**2 // 256 + 1, 768), {
        'ours': lambda: vit(SinCosVisionTransformer(VIT_B, img_size=size)),
        'mmpretrain': lambda: vit(VisionTransformer(VIT_B, size)),
        'by hand': lambda: vit(BEiTViT(VIT_B, size, use_rel_pos_bias=False))})


CASES = {
    'Swin-B 128, windows of 4, stage 3': swin_case(128, 4, 2),
    'Swin-B 192, windows of 6, stage 3': swin_case(192, 6, 2),
    'Swin-B 224, windows of 7, stage 3': swin_case(224, 7, 2),
    'Swin-B 224, windows of 7, stage 1': swin_case(224, 7, 0),
    'SwinV2-B 192, windows of 12, stage 2': swin_v2_case(192, 12, 1),
    'ViT-B 128': vit_case(128),
    'ViT-B 224': vit_case(224),
    'ViT-B 224, shared bias': Case((197, 768), {
        'ours': lambda: vit(ResizableBEiT(**SHARED, use_shared_rel_pos_bias=True)),
        'by hand': lambda: vit(BEiTViT(**SHARED, use_shared_rel_pos_bias=True))}),
}
WAYS = ('ours', 'mmpretrain', 'by hand')


def step(case: str, way: str, batch: int) -> Callable[[], None]:
    """Forward and backward of one attention."""
    quiet()
    torch.manual_seed(0)
    device = default_device()
    owner, call = CASES[case].ways[way]()
    owner.to(device).train()
    tokens = torch.randn(batch, *CASES[case].tokens, device=device, requires_grad=True)

    def run() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == 'cuda'):
            call(tokens).sum().backward()
        tokens.grad = None
        owner.zero_grad()

    return run


def extra_memory(case: str, way: str, batch: int) -> int:
    """Bytes that one call needs at most."""
    run = step(case, way, batch)
    run()
    return peak_growth(run, default_device())


def rows(result: dict) -> Rows:
    table = []
    for case, ways in result['cases'].items():
        row = {'Attention': case}
        for way in WAYS:
            found = ways.get(way)
            row[f'{way}, ms'] = milliseconds(found['times']) if found else ''
            row[f'{way}, MiB'] = mebibytes(found['extra_bytes']) if found else ''
        table.append(row)
    return table


def notes(result: dict) -> list[str]:
    return [f'Batch {result["batch"]}, {result["precision"]}.']


def main() -> None:
    args = arguments(__doc__, gpu_batch=256, cpu_batch=8, runs=9)
    cases = {}
    for case, (_, ways) in CASES.items():
        memory = {way: in_own_process(extra_memory, case, way, args.batch) for way in ways}
        times = interleaved({way: step(case, way, args.batch) for way in ways}, args.runs)
        cases[case] = {way: dict(times=times[way], extra_bytes=memory[way]) for way in ways}
    result = dict(batch=args.batch, precision='bfloat16' if torch.cuda.is_available() else 'float32', cases=cases)
    print_table(rows(result))
    print(*notes(result), sep='\n')
    print(f'stored in {store("attention", result)}')


if __name__ == '__main__':
    main()
