"""Optimizers and how parameters are grouped for them; importing this registers all of them."""
from .layer_decay import LayerDecayOptimWrapperConstructor
from .sharded import ShardedOptimizer

__all__ = ['LayerDecayOptimWrapperConstructor', 'ShardedOptimizer']
