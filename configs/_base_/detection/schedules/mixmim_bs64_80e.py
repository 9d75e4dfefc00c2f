# MixMIM's for L: layer decay .9, a tenth after 71 and again after 77 of 80 epochs.
_base_ = 'mixmim_bs64_55e.py'

optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=0.9))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=True, begin=0, end=0.25, convert_to_iter_based=True),
    dict(type='MultiStepLR', by_epoch=True, begin=0, end=80, milestones=[71, 77], gamma=0.1),
]
train_cfg = dict(max_epochs=80, val_interval=8)
