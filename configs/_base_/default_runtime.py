# Shared by every recipe: mmpretrain's runtime, our hooks, reproducible seeds.
_base_ = 'mmpretrain::_base_/default_runtime.py'

default_hooks = dict(
    logger=dict(interval=100),
    checkpoint=dict(type='mim_plugins.AtomicCheckpointHook', interval=10, max_keep_ckpts=3))
custom_hooks = [
    dict(type='mim_plugins.RunSummaryHook'),
    dict(type='mim_plugins.StrictLoadHook'),
    dict(type='mim_plugins.ProgressBarHook'),
]
randomness = dict(seed=0)
