# Transfer on the demo data: every weight is trained in float32, at one learning rate from either start.
_base_ = '../default_runtime.py'

iters = 600

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3, betas=(0.9, 0.999), weight_decay=0.05, fused=True),
    paramwise_cfg=dict(
        norm_decay_mult=0.0, bias_decay_mult=0.0,
        custom_keys=dict(cls_token=dict(decay_mult=0.0), pos_embed=dict(decay_mult=0.0))))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-2, by_epoch=False, begin=0, end=iters // 10),
    dict(type='PolyLR', power=1.0, eta_min=0.0, by_epoch=False, begin=iters // 10, end=iters),
]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=iters, val_interval=iters)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
default_hooks = dict(
    logger=dict(interval=20, log_metric_by_epoch=False),
    checkpoint=dict(by_epoch=False, interval=iters, max_keep_ckpts=1),
    data_wait=dict(threshold=50.),  # without workers loading and training take turns
    encoder=dict(
        type='mim_plugins.LoadEncoderHook', checkpoint='work_dirs/quickstart/epoch_7.pth', coverage=0.9))
log_processor = dict(by_epoch=False)
