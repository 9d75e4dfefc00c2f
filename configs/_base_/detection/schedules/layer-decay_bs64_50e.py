# The same over 50 epochs.
_base_ = 'layer-decay_bs64_100e.py'

param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=False, begin=0, end=250),
    dict(type='MultiStepLR', by_epoch=True, begin=0, end=50, milestones=[44, 48], gamma=0.1),
]
train_cfg = dict(max_epochs=50, val_interval=5)
