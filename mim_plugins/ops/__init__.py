"""The mathematics: pure functions on tensors, without state or registry."""
from .hog import hog
from .masks import mask_count, random_masks, resize_mask
from .patches import divide, map_to_tokens, normalize_patches, patchify, tokens_to_map, unpatchify

__all__ = [
    'divide', 'hog', 'map_to_tokens', 'mask_count', 'normalize_patches', 'patchify', 'random_masks', 'resize_mask',
    'tokens_to_map', 'unpatchify'
]
