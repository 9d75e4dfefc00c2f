"""One training step, from uint8 images to new weights, and what it takes."""
from typing import Any

import torch
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from mim_plugins.engine.compilation import compile_in_place

Batch = dict[str, Any]
PARTS = 'backbone', 'neck', 'encoder'


def quiet() -> None:
    """Build from mmpretrain's registry, without a line for each parameter that is initialised."""
    MMLogger.get_instance('mmengine').setLevel('WARNING')
    init_default_scope('mmpretrain')


class Step:
    """A model with its optimizer and a batch that is used again and again.

    The images are on the device; preprocessing, masks, target, forward, backward and AdamW are part of each call.
    Float32 on a CPU, autocast to bfloat16 on a GPU.

    Args:
        model: With a data preprocessor, giving a dict of losses in ``mode='loss'``.
        data: Collated batch.
        device: Where to train.
        trained: Whether there is an optimizer.
        compiled: Mode of ``torch.compile`` for encoder and decoder; None leaves them as they are.
    """

    def __init__(self, model: nn.Module, data: Batch, device: torch.device, trained: bool = True,
                 compiled: str | None = None) -> None:
        self.model, self.data, self.device = model.to(device).train(), data, device
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True) if trained else None
        for part in PARTS if compiled else ():
            if hasattr(model, part):
                compile_in_place(getattr(model, part), mode=compiled)

    def loss(self, data: Batch) -> Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == 'cuda'):
            losses = self.model(**self.model.data_preprocessor(data, True), mode='loss')
        return sum(value for name, value in losses.items() if 'loss' in name)

    def __call__(self, data: Batch | None = None) -> None:
        torch.compiler.cudagraph_mark_step_begin()
        self.model.zero_grad()
        self.loss(data or self.data).backward()
        if self.optimizer is not None:
            self.optimizer.step()

    def state_bytes(self) -> int:
        """Weights with their gradients and the optimizer's two moments."""
        copies = 2 if self.optimizer is None else 4
        return sum((copies if weight.requires_grad else 1) * weight.nbytes for weight in self.model.parameters())

    def flops(self, data: Batch) -> int:
        """Floating-point operations for each image of a batch, forward and backward of the model without its target.

        Two for each multiply-add of matrix products and convolutions; additions, norms, softmax, table look-ups, fills
        and the optimizer are not counted. Attention counts as the products it consists of, none of them twice, however
        it is computed.
        """
        with (FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH),
              torch.compiler.set_stance('force_eager')):
            self.loss(data).backward()
        target = counter.get_flop_counts().get(f'{type(self.model).__name__}.target_generator', {})
        return (counter.get_total_flops() - sum(target.values())) // len(data['inputs'])
