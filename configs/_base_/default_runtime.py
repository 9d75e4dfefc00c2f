# Shared by every recipe: mmpretrain's runtime, our hooks, reproducible seeds.
_base_ = 'mmpretrain::_base_/default_runtime.py'

# All by name, so that a recipe changes one without repeating the others.
default_hooks = dict(
    runtime_info=dict(type='mim_plugins.RuntimeInfoHook'),
    logger=dict(interval=100),
    checkpoint=dict(type='mim_plugins.AtomicCheckpointHook', interval=10, max_keep_ckpts=3),
    run_summary=dict(type='mim_plugins.RunSummaryHook'),
    strict_load=dict(type='mim_plugins.StrictLoadHook'),
    iteration_seed=dict(type='mim_plugins.IterationSeedHook'),
    statistics=dict(type='mim_plugins.AverageStatisticsHook'),
    loss_guard=dict(type='mim_plugins.LossGuardHook'),
    target_store=dict(type='mim_plugins.TargetStoreHook'),
    data_wait=dict(type='mim_plugins.DataWaitHook'),
    progress_bar=dict(type='mim_plugins.ProgressBarHook'))
randomness = dict(seed=0)
