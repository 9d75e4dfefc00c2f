"""Features of a frozen teacher, computed once and read by slice (FastMAE, Computational Visual Media 2025)."""
from .manifest import DTYPES, VIEWS, Manifest, differences
from .shards import Entry, Shard, content_hash, shard_path, write_shard
from .store import (
    FeatureStore,
    key_of,
    load_calibration,
    open_shards,
    save_calibration,
    stacked_calibration,
)

__all__ = [
    'DTYPES', 'VIEWS', 'Entry', 'FeatureStore', 'Manifest', 'Shard', 'content_hash', 'differences', 'key_of',
    'load_calibration', 'open_shards', 'save_calibration', 'shard_path', 'stacked_calibration', 'write_shard'
]
