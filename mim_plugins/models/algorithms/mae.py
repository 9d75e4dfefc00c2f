from ...registry import MODELS
from .base import MaskedImageModel


@MODELS.register_module()
class MAE(MaskedImageModel):
    """MAE: the encoder sees visible patches only, a decoder fills in the others (arXiv 2111.06377).

    MFF, ConvMAE and LSMAE are the same wiring around another encoder, mask unit or decoder. Arguments are those of
    :class:`MaskedImageModel`; the fill is usually :class:`TokenDropFill`, the neck :class:`MAEDecoder`.
    """


@MODELS.register_module()
class PixMIM(MAE):
    """PixMIM: low frequencies as target, crops that keep the object (arXiv 2303.02416).

    Nothing in it is of its own: :class:`LowPassTarget` and :class:`SimpleResizedCrop` go with any algorithm. Arguments
    are those of :class:`MAE`.
    """
