from collections.abc import Sequence
from typing import Any

from mmengine.model import BaseModule
from torch import Tensor

from ...registry import MODELS


@MODELS.register_module()
class Float32RoIExtractor(BaseModule):
    """mmdet's extractor on contiguous maps and boxes in float32, also under autocast.

    mmcv's RoIAlign does not look at the strides of a map: of one that is laid out with its channels last it reads other
    places without a word. It has no bfloat16, whose 8 significant bits would also round a corner near 1000 px to a
    multiple of 4.

    Args:
        **options: Those of mmdet's ``SingleRoIExtractor``.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.extractor = MODELS.build(dict(type='mmdet.SingleRoIExtractor', **options))

    @property
    def num_inputs(self) -> int:
        """Maps that are read, counted from the finest."""
        return self.extractor.num_inputs

    @property
    def featmap_strides(self) -> list[int]:
        """Strides of these maps in pixels."""
        return self.extractor.featmap_strides

    def forward(self, maps: Sequence[Tensor], rois: Tensor, roi_scale_factor: float | None = None) -> Tensor:
        """Read boxes.

        Args:
            maps: [B, C, h, w] per level.
            rois: [K, 5]: image of the batch, then corners x1, y1, x2, y2 in pixels.
            roi_scale_factor: Boxes are made larger by it.

        Returns:
            float32 [K, C, side, side].
        """
        return self.extractor(tuple(level.float().contiguous() for level in maps), rois.float(), roi_scale_factor)
