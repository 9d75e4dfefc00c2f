from typing import Any

import timm
import torch
from mmpretrain.models import TIMMBackbone
from mmpretrain.models.utils import to_2tuple
from torch import Tensor

from ...errors import InputError
from ...registry import MODELS


@MODELS.register_module()
class TIMMEncoder(TIMMBackbone):
    """Any encoder of timm, with one form of output and a say about sizes.

    Args:
        model_name: timm's name.
        img_size: Size (H, W) of the images; the algorithm states it. It is handed on to models that are made
            for one size, with ``dynamic_img_size`` where there is such a thing.
        in_channels: Channels of the images.
        **options: mmpretrain's and timm's; nothing is downloaded unless ``pretrained=True``.

    Attributes:
        num_extra_tokens: Leading tokens of the output such as cls; 0 for maps.

    Raises:
        InputError: timm has no such model, or it cannot be made an encoder for this size.
    """

    def __init__(self, model_name: str, img_size: int | tuple[int, int] = 224, in_channels: int = 3,
                 **options: Any) -> None:
        if not timm.is_model(model_name):
            raise InputError(f'timm has no model {model_name!r}')
        self._name = model_name
        self._channels = in_channels
        size = to_2tuple(img_size)
        known = timm.get_pretrained_cfg(model_name, allow_unregistered=True)
        fixed = known is not None and known.fixed_input_size
        stated = dict(img_size=size)
        for sized in ({**stated, 'dynamic_img_size': True}, stated, {}) if fixed else ({}, ):
            try:
                super().__init__(model_name, in_channels=in_channels, **{**sized, **options})
                break
            except TypeError as error:  # timm's classes differ in what they take
                if not any(f"'{name}'" in str(error) for name in sized):
                    raise
            except AssertionError as error:
                raise InputError(f"timm's {model_name} cannot be made an encoder for images of "
                                 f'{size[0]}x{size[1]}: {_first_line(error)}') from error
        self.num_extra_tokens = getattr(self.timm_model, 'num_prefix_tokens', 0)
        self._size = known.input_size[1:] if fixed else size
        self.set_input_size(size)  # some classes take img_size and forget it
        self._size = size

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Encode images [B, C, H, W] into maps [B, C, h, w] or tokens [B, num_extra_tokens + N, C]."""
        features = super().forward(x)
        if str(getattr(self.timm_model, 'output_fmt', 'NCHW')).endswith('NHWC'):
            return tuple(part.permute(0, 3, 1, 2).contiguous() for part in features)
        return features

    @torch.no_grad()
    def set_input_size(self, size: tuple[int, int]) -> None:
        """Make sure that the model takes images of ``size`` (H, W) as it is.

        Raises:
            InputError: It does not; timm's own ``set_input_size`` would replace parameters.
        """
        if tuple(size) == self._size:
            return
        training, parameter = self.training, next(self.parameters())
        self.eval()
        try:
            self(torch.zeros(1, self._channels, *size, device=parameter.device, dtype=parameter.dtype))
        except Exception as error:  # whatever a model's own code raises
            raise InputError(
                f"timm's {self._name}, made for images of {self._size[0]}x{self._size[1]}, does not take "
                f'{size[0]}x{size[1]} in its forward: {_first_line(error)}') from error
        finally:
            self.train(training)


def _first_line(error: Exception) -> str:
    return f'{type(error).__name__} {error}'.splitlines()[0].rstrip()
