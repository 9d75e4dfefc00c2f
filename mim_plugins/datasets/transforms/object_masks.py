"""Object masks beside the picture."""
from __future__ import annotations

from pathlib import Path

from mmcv.transforms import BaseTransform

from mim_plugins.datasets.object_masks import ObjectMasks
from mim_plugins.errors import InputError
from mim_plugins.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadObjectMask(BaseTransform):
    """Set ``object_mask``, bool [H, W] with True = object, of the picture ``img_path``.

    It stands behind the loading of ``img`` and before whatever moves its pixels: sizes, crops and flips.

    Args:
        source: A folder of masks or a COCO json, see :class:`~mim_plugins.datasets.object_masks.ObjectMasks`.
        image_root: Folder that the names of the source are relative to.

    Raises:
        InputError: No such source; from the transform, no picture, no mask of it, or one of another size.
    """

    def __init__(self, source: str | Path, image_root: str | Path | None = None) -> None:
        self.object_masks = ObjectMasks(source, image_root)

    def transform(self, results: dict) -> dict:
        if 'img' not in results:
            raise InputError(f'{type(self).__name__} needs a loaded picture: put mim_plugins.LoadRGBImage before it')
        return {**results, 'object_mask': self.object_masks.masks(results['img_path'], results['img'].shape)}
