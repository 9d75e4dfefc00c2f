# mmseg's runtime with our hooks, by iterations; each recipe names the encoder's weights.
_base_ = '../default_runtime.py'

default_scope = 'mmseg'
default_hooks = dict(
    logger=dict(interval=50, log_metric_by_epoch=False),
    checkpoint=dict(by_epoch=False, interval=16000),
    encoder=dict(type='mim_plugins.LoadEncoderHook', checkpoint=None, coverage=0.9),
    visualization=dict(_delete_=True, type='SegVisualizationHook'))
visualizer = dict(_delete_=True, type='SegLocalVisualizer', vis_backends=[dict(type='LocalVisBackend')])
log_processor = dict(by_epoch=False)
env_cfg = dict(cudnn_benchmark=True)
