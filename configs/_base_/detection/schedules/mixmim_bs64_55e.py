# MixMIM's for B: layer decay .85, a quarter of an epoch of warmup, a tenth after 49 and again after 53 of 55 epochs.
_base_ = 'layer-decay_bs64_100e.py'

optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=0.85))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=True, begin=0, end=0.25, convert_to_iter_based=True),
    dict(type='MultiStepLR', by_epoch=True, begin=0, end=55, milestones=[49, 53], gamma=0.1),
]
train_cfg = dict(max_epochs=55, val_interval=5)
