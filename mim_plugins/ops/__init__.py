"""The mathematics: pure functions on tensors, without state or registry."""
from .colors import nearest_colors, restore_patches
from .hog import hog
from .masks import block_masks, mask_count, random_masks, resize_mask, square_masks
from .patches import divide, map_to_tokens, normalize_patches, patchify, tokens_to_map, unpatchify
from .positions import (
    relative_position_index,
    resize_pair_bias,
    resize_position_embedding,
    resize_position_table,
    sin_cos_position_embedding,
    token_grid,
)
from .seeds import key_seed

__all__ = [
    'block_masks', 'divide', 'hog', 'key_seed', 'map_to_tokens', 'mask_count', 'nearest_colors', 'normalize_patches',
    'patchify', 'random_masks', 'relative_position_index', 'resize_mask', 'resize_pair_bias',
    'resize_position_embedding', 'resize_position_table', 'restore_patches', 'sin_cos_position_embedding',
    'square_masks', 'token_grid', 'tokens_to_map', 'unpatchify'
]
