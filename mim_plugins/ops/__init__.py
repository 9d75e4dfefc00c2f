"""The mathematics: pure functions on tensors, without state or registry."""
from .colors import nearest_colors, restore_patches
from .features import FeatureNorm, check_feature_norm, crop_maps, normalize_features
from .groups import same_group, separate_groups
from .hog import hog
from .low_pass import check_radius, filter_frequencies, low_pass, radial_frequencies
from .masks import block_masks, mask_count, random_masks, resize_mask, square_masks, visible_count, visible_places
from .patches import divide, map_to_tokens, normalize_patches, patchify, tokens_to_map, unpatchify
from .positions import (
    columns_come_first,
    relative_position_index,
    resize_pair_bias,
    resize_position_embedding,
    resize_position_table,
    sin_cos_position_embedding,
    square_grid,
    token_grid,
)
from .quantization import Calibration, calibrate, dequantize, quantize
from .seeds import key_seed
from .sizes import read_size

__all__ = [
    'Calibration', 'FeatureNorm', 'block_masks', 'calibrate', 'check_feature_norm', 'check_radius',
    'columns_come_first', 'crop_maps', 'dequantize', 'divide', 'filter_frequencies', 'hog', 'key_seed', 'low_pass',
    'map_to_tokens', 'mask_count', 'nearest_colors', 'normalize_features', 'normalize_patches', 'patchify', 'quantize',
    'radial_frequencies', 'random_masks', 'read_size', 'relative_position_index', 'resize_mask', 'resize_pair_bias',
    'resize_position_embedding', 'resize_position_table', 'restore_patches', 'same_group', 'separate_groups',
    'sin_cos_position_embedding', 'square_grid', 'square_masks', 'token_grid', 'tokens_to_map', 'unpatchify',
    'visible_count', 'visible_places'
]
