from mmpretrain.models import VisionTransformer
from torch import nn

from ...ops.positions import sin_cos_position_embedding
from ...registry import MODELS


@MODELS.register_module()
class SinCosVisionTransformer(VisionTransformer):
    """mmpretrain's ViT with MAE's initialisation and a fixed sine-cosine position embedding.

    The forward and the names of the weights are mmpretrain's: a checkpoint loads into its
    ``VisionTransformer`` for fine-tuning. All arguments are mmpretrain's as well. The weights of linear
    layers and of the patch projection start Xavier-uniform, linear biases at 0, the cls token normal with
    standard deviation .02
    (MAE, arXiv 2111.06377, appendix A; FastMIM, arXiv 2212.06593).
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.pos_embed.requires_grad = False

    def init_weights(self) -> None:
        super().init_weights()
        if isinstance(self.init_cfg, dict) and self.init_cfg['type'] == 'Pretrained':
            return
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        projection = self.patch_embed.projection.weight
        nn.init.xavier_uniform_(projection.data.view(len(projection), -1))
        if self.cls_token is not None:
            nn.init.normal_(self.cls_token, std=.02)
        self.pos_embed.data.copy_(
            sin_cos_position_embedding(self.patch_resolution, self.embed_dims, self.num_extra_tokens))
