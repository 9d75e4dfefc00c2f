"""The mathematics: pure functions on tensors, without state or registry."""
from .hog import hog
from .masks import block_masks, mask_count, random_masks, resize_mask, square_masks
from .patches import divide, map_to_tokens, normalize_patches, patchify, tokens_to_map, unpatchify

__all__ = [
    'block_masks', 'divide', 'hog', 'map_to_tokens', 'mask_count', 'normalize_patches', 'patchify', 'random_masks',
    'resize_mask', 'square_masks', 'tokens_to_map', 'unpatchify'
]
