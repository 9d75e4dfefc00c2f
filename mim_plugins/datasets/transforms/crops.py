"""Crops whose size may change from sample to sample."""
import copy

from mmpretrain.datasets import RandomResizedCrop as _RandomResizedCrop

from mim_plugins.registry import TRANSFORMS


@TRANSFORMS.register_module()
class RandomResizedCrop(_RandomResizedCrop):
    """mmpretrain's random resized crop, of the size that a sample's key asks for.

    Arguments are mmpretrain's; ``scale``, one number or (height, width), counts where the sample has no
    ``input_size``, (height, width) as well.
    """

    def transform(self, results: dict) -> dict:
        """Crop and resize ``img``; ``img_shape`` follows."""
        if 'input_size' not in results:
            return super().transform(results)
        # A sized twin: the pipeline's own transform stays as it is for other samples.
        sized = copy.copy(self)
        sized.scale = results['input_size']
        return super(RandomResizedCrop, sized).transform(results)
