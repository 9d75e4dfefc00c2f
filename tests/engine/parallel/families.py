"""Small masked image models of every family, their batches, and training steps of them."""
import copy
import functools
from types import SimpleNamespace

import torch
from mmengine.config import Config
from mmengine.dist import get_rank
from mmengine.optim import OptimWrapper
from torch import Tensor, nn

from mim_plugins.engine.compilation import compile_in_place
from mim_plugins.registry import MODELS

from ...runs import ROOT
from .processes import joined

_MAE = 'mae_vit-micro_bs64_demo-32'
# Demo recipe, and what else is changed in its model. BatchNorm's statistics are of a process's own batch: no CMT.
FAMILIES = {
    'FastMIM': ('fastmim_vit-micro_bs64_demo-32', {}),
    'compiled': ('fastmim_vit-micro_bs64_demo-32', {'backbone.arch.num_layers': 2}),
    'FastMIM, Swin': ('fastmim_swin-micro_bs64_demo-32', {}),
    'FastMIM, PVTv2': ('fastmim_pvtv2-micro_bs64_demo-64', {}),
    'FastMIM-P': ('fastmim-p_swin-micro_bs64_demo-32-64', {}),
    'recomputed': ('simmim_swinv2-micro_bs64_demo-32', {'backbone.with_cp': True}),
    'SimMIM': ('simmim_swin-micro_bs64_demo-32', {}),
    'MAE': (_MAE, {}),
    'ALM': (_MAE, {'type': 'mim_plugins.FastMAE',
                   'target_generator': dict(_delete_=True, type='mim_plugins.HOGTarget', cell=4)}),
    'MixMIM': ('mixmim_mixmim-micro_bs64_demo-32', {}),
    'PixMIM with a trainable radius': ('pixmim_vit-micro_bs64_demo-32', {'target_generator.radius': (20, 60)}),
    'MFF': ('pixmim-mff_vit-micro_bs64_demo-32', {}),
    'ConvMAE': ('pixmim-convmae_micro_bs64_demo-64', {}),
    'LSMAE': ('pixmim-lsmae_vit-micro_bs64_demo-64', {}),
}


def build(family: str) -> nn.Module:
    """The same weights in each process."""
    model = copy.deepcopy(_built(family))
    if family == 'compiled':
        for part in (model.backbone, model.neck):
            compile_in_place(part, backend='aot_eager')
    return model


@functools.cache
def _built(family: str) -> nn.Module:
    recipe, changes = FAMILIES[family]
    cfg = Config.fromfile(ROOT / 'configs' / 'demo' / f'{recipe}.py')
    cfg.merge_from_dict({f'model.{name}': value for name, value in changes.items()})
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model.init_weights()
    return model.train()


def sizes(family: str, model: nn.Module) -> list[tuple[int, int]]:
    """Of the images of four steps."""
    own = model.input_size
    return [own, (48, 48), (48, 48), own] if family == 'FastMIM-P' else [own] * 4


def inputs(model: nn.Module, step: int = 0) -> dict[str, Tensor]:
    """What this process's preprocessor hands on for four images."""
    generator = torch.Generator().manual_seed(10 * step + get_rank())
    pixels = torch.randint(256, (4, 3, *model.input_size), generator=generator, dtype=torch.uint8)
    given = model.data_preprocessor(dict(inputs=pixels, data_samples=[]), training=True)
    given.pop('data_samples')
    return given


def whole_batch(own: dict) -> dict:
    """That of both processes; an image's partner stays in its half."""
    together = joined(own)
    if 'partner' in together:
        half = len(together['partner']) // 2
        together['partner'] = together['partner'] + half * (torch.arange(2 * half) >= half)
    return together


def train(parallel: nn.Module, plain: nn.Module, steps: list[tuple[int, int]],
          accumulate: int = 1) -> tuple[float, float]:
    """Train a model over two processes, and another one alone on what both see.

    Returns:
        The largest difference of gradients and of parameters, relative to the largest value.
    """
    model = getattr(parallel, 'module', parallel)
    wrapped, alone = (OptimWrapper(torch.optim.SGD(net.parameters(), lr=1e-3, momentum=.9), accumulate)
                      for net in (parallel, plain))
    worst = 0.
    for step, size in enumerate(steps):
        for net in (model, plain):
            net.set_input_size(size)
        own = inputs(model, step)
        together = whole_batch(own)
        if hasattr(parallel, 'set_requires_gradient_sync'):
            parallel.set_requires_gradient_sync(wrapped.should_sync())
        for net, wrapper, given in ((parallel, wrapped, own), (plain, alone, together)):
            with wrapper.optim_context(net):
                losses = net(**given, mode='loss')
            loss, _ = plain.parse_losses(losses)
            wrapper.backward(wrapper.scale_loss(loss))
        if wrapped.should_update():
            worst = max(worst, difference(gradients(model), gradients(plain)))
            for wrapper in (wrapped, alone):
                wrapper.step()
                wrapper.zero_grad()
    return worst, difference(values(model), values(plain))


def values(model: nn.Module) -> dict[str, Tensor]:
    return {name: whole_tensor(parameter) for name, parameter in model.named_parameters()}


def gradients(model: nn.Module) -> dict[str, Tensor]:
    return {name: whole_tensor(parameter.grad) for name, parameter in model.named_parameters()
            if parameter.grad is not None}


def whole_tensor(value: Tensor) -> Tensor:
    return (value.full_tensor() if hasattr(value, 'full_tensor') else value).detach()


def difference(first: dict[str, Tensor], second: dict[str, Tensor]) -> float:
    assert first.keys() == second.keys() and first
    scale = max(value.abs().max() for value in second.values())
    return max(((first[name] - value).abs().max() / scale).item() for name, value in second.items())


def runner_of(model: nn.Module) -> SimpleNamespace:
    """As hooks see it."""
    return SimpleNamespace(model=model)
