"""Packing of what is more than an image and its meta information."""
from __future__ import annotations

import torch
from mmpretrain.datasets import PackInputs as _PackInputs

from mim_plugins.registry import TRANSFORMS

from .grid_crop import check_aligned


@TRANSFORMS.register_module()
class PackInputs(_PackInputs):
    """mmpretrain's, which also hands on what a target is made of, as tensors that the loader stacks.

    Beside ``inputs`` and ``data_samples`` there is ``target_inputs``, a dict of what the target generator takes: of
    :class:`LoadOfflineTarget` the stored features, of ``GridAlignedCrop(keep_middle=True)`` the middle image and the
    place of the crop in it. Arguments are mmpretrain's.

    Raises:
        InputError: From a picture that was flipped, cropped or resized behind :class:`GridAlignedCrop`.
    """

    def transform(self, results: dict) -> dict:
        packed = super().transform(results)
        given = dict(results.get('stored_target', {}))
        if 'middle' in results:
            given.update(middle=self.format_input(results['middle']), grid_box=torch.tensor(results['grid_box']))
        if not given:
            return packed
        check_aligned(results)
        return {**packed, 'target_inputs': given}
