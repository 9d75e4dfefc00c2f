# mmdet's runtime with our hooks; each recipe names the encoder's weights.
_base_ = 'mmdet::_base_/default_runtime.py'

# All by name, so that a recipe changes one without repeating the others.
default_hooks = dict(
    runtime_info=dict(type='mim_plugins.RuntimeInfoHook'),
    checkpoint=dict(type='mim_plugins.AtomicCheckpointHook', max_keep_ckpts=2),
    encoder=dict(type='mim_plugins.LoadEncoderHook', checkpoint=None, coverage=0.98),
    run_summary=dict(type='mim_plugins.RunSummaryHook'),
    strict_load=dict(type='mim_plugins.StrictLoadHook'),
    iteration_seed=dict(type='mim_plugins.IterationSeedHook'),
    statistics=dict(type='mim_plugins.AverageStatisticsHook'),
    loss_guard=dict(type='mim_plugins.LossGuardHook'),
    data_wait=dict(type='mim_plugins.DataWaitHook'),
    progress_bar=dict(type='mim_plugins.ProgressBarHook'))
randomness = dict(seed=0)
