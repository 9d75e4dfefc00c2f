# PixMIM's for ConvMAE: lr = 1.6e-3 x 16 / 256 = 1e-4 and layer decay .85.
_base_ = 'layer-decay_bs64_100e.py'

base_lr = 1.6e-3
batch = 16
optim_wrapper = dict(optimizer=dict(lr=base_lr * batch / 256), paramwise_cfg=dict(layer_decay_rate=0.85))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=False, begin=0, end=250),
    dict(type='MultiStepLR', by_epoch=True, begin=0, end=25, milestones=[22, 24], gamma=0.1),
]
train_cfg = dict(max_epochs=25, val_interval=5)
auto_scale_lr = dict(base_batch_size=batch)
