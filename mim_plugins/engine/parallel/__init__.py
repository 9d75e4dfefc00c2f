from .replicated import ReplicatedModel
from .runner import ShardedRunner
from .sharded import shard, transformer_blocks_in, whole

__all__ = ['ReplicatedModel', 'ShardedRunner', 'shard', 'transformer_blocks_in', 'whole']
