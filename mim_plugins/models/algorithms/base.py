"""What every masked-image-modelling algorithm shares: the wiring, the batched mask and the input size."""
import torch
from mmpretrain.models import BaseSelfSupervisor
from torch import Tensor

from ...errors import InputError
from ...ops import divide, read_size
from ...registry import MODELS
from ..backbones import with_input_size
from ..options import filled_in
from ..preprocessors import MaskingDataPreprocessor, MixedMaskingDataPreprocessor


class MaskedImageModel(BaseSelfSupervisor):
    """Target, fill, encoder, decoder and loss around one input size.

    Args:
        backbone: Config of the encoder; image and window size follow from ``input_size`` unless stated.
        neck: Config of the decoder, without ``out_channels`` and ``out_stride``: they follow from the target.
        head: Config of the head.
        target_generator: Config of the target; ``mean`` and ``std`` follow from the preprocessor unless stated.
        input_size: Height and width of the images in pixels, or one number for both.
        fill: Config of what stands in the masked places.
        data_preprocessor: Config of a masking preprocessor.
        init_cfg: mmengine's initialisation config.

    Raises:
        InputError: Size, mask unit, stride and target cell do not fit each other.

    Attributes:
        takes_mixed_images: The preprocessor fills masked units by itself and hands the clean images on.
    """
    takes_mixed_images = False

    def __init__(self, backbone: dict, neck: dict, head: dict, target_generator: dict,
                 input_size: int | tuple[int, int], fill: dict, data_preprocessor: dict,
                 init_cfg: dict | None = None) -> None:
        target_generator = MODELS.build(self.with_normalization(target_generator, data_preprocessor))
        size = read_size(input_size)
        if target_generator.layout != 'map':
            raise InputError(f"the target's layout must be 'map' here, but is {target_generator.layout!r}")
        if 'stride' not in neck:
            raise InputError("the neck's config must state its stride, the pixels per token of the encoder's output")
        super().__init__(
            backbone=with_input_size(backbone, size, neck['stride']),
            neck={**neck, 'out_channels': target_generator.channels, 'out_stride': target_generator.map_stride},
            head=head,
            target_generator=target_generator,
            data_preprocessor=dict(data_preprocessor),
            init_cfg=init_cfg)
        wanted = MixedMaskingDataPreprocessor if self.takes_mixed_images else MaskingDataPreprocessor
        if not isinstance(self.data_preprocessor, wanted) or self.takes_mixed_images != isinstance(
                self.data_preprocessor, MixedMaskingDataPreprocessor):
            raise InputError(f'{type(self).__name__} needs the data preprocessor mim_plugins.{wanted.__name__}, '
                             f'but got {type(self.data_preprocessor).__name__}')
        self._check_loss()
        self.fill = MODELS.build(fill)
        self.fill.attach(self.backbone)
        if self.fill.drops_tokens and not self.neck.inserts_mask_tokens:
            raise InputError('a fill that keeps masked tokens from the encoder, as TokenDropFill, goes with a decoder '
                             f'that inserts them, as MAEDecoder, but {type(self.fill).__name__} came with '
                             f'{type(self.neck).__name__}')
        tokens = getattr(self.backbone, 'out_type', 'raw') == 'raw'  # otherwise a map, which has none but its own
        extra = getattr(self.backbone, 'num_extra_tokens', self.neck.num_extra_tokens)
        if tokens and self.neck.inserts_mask_tokens and extra != self.neck.num_extra_tokens:
            raise InputError(f'the encoder gives {extra} extra tokens before the visible ones, but the neck was told '
                             f'num_extra_tokens={self.neck.num_extra_tokens}')
        self.set_input_size(size)

    @staticmethod
    def with_normalization(target: dict, preprocessor: dict) -> dict:
        """Tell a target that looks at intensities how the images were normalised."""
        identity = dict(mean=[0.], std=[1.])  # of a preprocessor that leaves images as they are
        return filled_in(target, MODELS, **{
            name: preprocessor.get(name) or values for name, values in identity.items()})

    def _check_loss(self) -> None:
        discrete = getattr(self.head.loss_module, 'discrete', None)
        if discrete is not None and discrete != self.target_generator.discrete:
            raise InputError('classes as target go with the criterion CrossEntropy and values with another one, but '
                             f'{type(self.target_generator).__name__} came with {self.head.loss_module.criterion}')

    def set_input_size(self, size: tuple[int, int]) -> None:
        """Take images of another size from now on; parameters keep their shapes.

        Parts that depend on the size (windows, fixed position tables) are told by their own
        ``set_input_size``; the others read it from the images.

        Args:
            size: (H, W) in pixels.

        Raises:
            InputError: A part cannot work at this size.
        """
        size = read_size(size)
        strategy = self.data_preprocessor.mask_strategy
        rows, columns = strategy.grid(size)
        self.target_generator.check_input_size(size)
        divide(size, self.neck.stride, 'tokens')
        if strategy.unit % self.target_generator.map_stride:
            raise InputError(f'mask units of {strategy.unit} px cannot be laid on target cells of '
                             f'{self.target_generator.map_stride} px')
        self.fill.check_unit(strategy.unit)
        if self.neck.inserts_mask_tokens and strategy.unit % self.neck.stride:
            raise InputError(f'mask units of {strategy.unit} px do not cover whole tokens of {self.neck.stride} px')
        for part in (self.backbone, self.neck):
            if hasattr(part, 'set_input_size'):
                part.set_input_size(size)
        self.fill.expect(strategy.visible_units(size), rows * columns)
        self.input_size = size

    def forward(self, inputs: Tensor, data_samples: list | None = None, mask: Tensor | None = None,
                mode: str = 'tensor', **others: Tensor) -> Tensor | dict | tuple:
        """Run.

        Args:
            inputs: Normalised [B, C, H, W].
            data_samples: Unused by the losses here.
            mask: Bool [B, h, w], True = masked; needed for ``'loss'`` and ``'predict'``.
            mode: ``'tensor'`` gives the encoder's features of the unmasked images, ``'loss'`` the losses,
                ``'predict'`` what :meth:`reconstruct` gives.
            **others: What else the preprocessor hands on, for :meth:`loss` and :meth:`reconstruct`.

        Raises:
            InputError: No mask or one of another form, another size than the model's, or an unknown mode.
        """
        if mode == 'tensor':
            return self.extract_feat(inputs)
        if mode not in ('loss', 'predict'):
            raise InputError(f"the mode must be 'tensor', 'loss' or 'predict', but is {mode!r}")
        if mask is None:
            raise InputError(f'{type(self).__name__} needs a mask with each batch, but none came: use data_preprocessor'
                             f" type 'mim_plugins.{type(self.data_preprocessor).__name__}'")
        if mask.dtype != torch.bool or mask.ndim != 3 or len(mask) != len(inputs):
            raise InputError(f'the mask must be bool [{len(inputs)}, h, w] for {len(inputs)} images, but is '
                             f'{mask.dtype} {list(mask.shape)}')
        if tuple(inputs.shape[-2:]) != self.input_size:
            raise InputError(f'the model was built for images of {self.input_size[0]}x{self.input_size[1]}, '
                             f'but {inputs.shape[-2]}x{inputs.shape[-1]} came from the pipeline')
        return (self.loss if mode == 'loss' else self.reconstruct)(inputs, mask, **others)

    def predict(self, inputs: Tensor, mask: Tensor) -> Tensor:
        """Decode the corrupted images [B, C, H, W] into a map on the target's grid."""
        return self.neck(self.fill.encode(self.backbone, inputs, mask), tuple(inputs.shape[-2:]), mask)

    def target(self, images: Tensor, target_inputs: dict[str, Tensor] | None = None) -> Tensor:
        """Target of normalised images [B, C, H, W], made with what else the pipeline hands on for it."""
        return self.target_generator(images, **(target_inputs or {}))

    def loss(self, inputs: Tensor, mask: Tensor, clean: Tensor | None = None,
             target_inputs: dict[str, Tensor] | None = None) -> dict[str, Tensor]:
        """Losses.

        Args:
            inputs: Normalised images [B, C, H, W].
            mask: Bool [B, h, w], True = masked.
            clean: What the target is made of, if the inputs were filled with something else before.
            target_inputs: What the pipeline hands on for the target, as stored features.
        """
        target = self.target(inputs if clean is None else clean, target_inputs)
        return dict(loss=self.head.loss(self.predict(inputs, mask), target, mask), **self.watched())

    def watched(self) -> dict[str, Tensor]:
        """Detached values of the parts that a training's log should follow."""
        return {name: value for part in (self.target_generator, self.backbone) if hasattr(part, 'watched')
                for name, value in part.watched().items()}

    def reconstruct(self, inputs: Tensor, mask: Tensor, clean: Tensor | None = None,
                    target_inputs: dict[str, Tensor] | None = None) -> dict[str, Tensor]:
        """What the loss compares, for pictures and monitors; arguments as in :meth:`loss`.

        Returns:
            ``corrupted`` [B, C, H, W], ``prediction`` and ``target`` [B, C', H', W'] on the target's
            grid, ``mask`` [B, h, w].
        """
        return dict(
            corrupted=self.fill(inputs, mask), prediction=self.predict(inputs, mask),
            target=self.target(inputs if clean is None else clean, target_inputs), mask=mask)
