# AdamW with lr = 3.2e-4 x 64 / 256 = 8e-5 and layer decay .75, a tenth after 89 and again after 96 of 100 epochs.
_base_ = 'adamw.py'

base_lr = 3.2e-4
batch = 64
optim_wrapper = dict(
    optimizer=dict(lr=base_lr * batch / 256, weight_decay=0.1),
    constructor='mim_plugins.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(layer_decay_rate=0.75))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=False, begin=0, end=250),
    dict(type='MultiStepLR', by_epoch=True, begin=0, end=100, milestones=[89, 96], gamma=0.1),
]
train_cfg = dict(max_epochs=100, val_interval=10)
auto_scale_lr = dict(base_batch_size=batch)
