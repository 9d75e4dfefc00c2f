from typing import Any

from mmpretrain.models import VisionTransformer
from torch import nn

from ...ops.positions import token_grid
from ...registry import MODELS
from ..initialization import init_linear, is_pretrained
from ..position_tables import SinCosTable
from .depth import cut_arch
from .recomputation import recompute_blocks


@MODELS.register_module()
class SinCosVisionTransformer(SinCosTable, VisionTransformer):
    """mmpretrain's ViT with MAE's initialisation and a fixed sine-cosine position embedding.

    The forward and the names in the state dict are mmpretrain's: a checkpoint loads into its
    ``VisionTransformer`` for fine-tuning. The weights of linear layers and of the patch projection start
    Xavier-uniform, linear biases at 0, the cls token normal with standard deviation .02
    (MAE, arXiv 2111.06377, appendix A; FastMIM, arXiv 2212.06593). The embedding is a buffer, made anew for
    each size.

    Args:
        arch: As mmpretrain's.
        depth: Number of layers, counted from the first, that are kept; the others are left out.
        with_cp: Compute the layers' inner results again in the backward instead of keeping them.
        **options: mmpretrain's.

    Raises:
        InputError: There are not ``depth`` layers.
    """

    def __init__(self, arch: str | dict = 'base', depth: int | None = None, with_cp: bool = False,
                 **options: Any) -> None:
        super().__init__(arch=cut_arch(self.arch_zoo, arch, depth, 'num_layers'), **options)
        del self.pos_embed  # mmpretrain's is a parameter
        self.add_table('pos_embed', self.embed_dims, self.num_extra_tokens)
        self._set_grid(self.patch_resolution)
        if with_cp:
            recompute_blocks(self.layers)

    def init_weights(self) -> None:
        super().init_weights()
        if is_pretrained(self.init_cfg):
            return
        init_linear(self, nn.init.xavier_uniform_)
        projection = self.patch_embed.projection.weight
        nn.init.xavier_uniform_(projection.data.view(len(projection), -1))
        if self.cls_token is not None:
            nn.init.normal_(self.cls_token, std=.02)
        self.set_table_grid(self.patch_resolution)  # mmpretrain's drew it at random

    def set_input_size(self, size: tuple[int, int]) -> None:
        """Make the position embedding for images of ``size`` (H, W)."""
        self._set_grid(token_grid(size, self.patch_embed.projection.stride))

    def _set_grid(self, grid: tuple[int, int]) -> None:
        self.patch_resolution = grid
        self.set_table_grid(grid)

    def _prepare_pos_embed(self, *args: Any) -> None:
        """The table sees to itself: mmpretrain would resize it as if it were learned."""
