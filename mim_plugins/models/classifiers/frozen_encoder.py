from typing import Any

from mmpretrain.models import ImageClassifier

from ...registry import MODELS


@MODELS.register_module()
class FrozenEncoderClassifier(ImageClassifier):
    """mmpretrain's classifier on an encoder that does not learn, for linear probing (MAE, arXiv 2111.06377, A.1).

    The encoder stays in eval mode: no stochastic depth, no statistics of its own change.

    Args:
        *args: mmpretrain's.
        **options: mmpretrain's.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.backbone.requires_grad_(False)

    def train(self, mode: bool = True) -> 'FrozenEncoderClassifier':
        super().train(mode)
        self.backbone.eval()
        return self
