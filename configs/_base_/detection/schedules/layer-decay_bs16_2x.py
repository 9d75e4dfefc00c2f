# mmdet's 2x schedule with AdamW: lr = 1.6e-3 x 16 / 256 = 1e-4 and layer decay .75.
_base_ = 'layer-decay_bs16_25e.py'

optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=0.75))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=False, begin=0, end=500),
    dict(type='MultiStepLR', by_epoch=True, begin=0, end=24, milestones=[16, 22], gamma=0.1),
]
train_cfg = dict(max_epochs=24, val_interval=2)
