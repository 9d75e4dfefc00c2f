# FastMAE's: lr = 4.8e-3 x 16 / 256 = 3e-4, linear to 0 over 12 epochs.
_base_ = 'adamw.py'

base_lr = 4.8e-3
batch = 16
optim_wrapper = dict(
    optimizer=dict(lr=base_lr * batch / 256, weight_decay=0.05),
    constructor='mim_plugins.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(layer_decay_rate=1.0))  # for what it leaves undecayed
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=False, begin=0, end=500),
    dict(type='PolyLR', by_epoch=True, begin=0, end=12, power=1.0, convert_to_iter_based=True),
]
train_cfg = dict(max_epochs=12, val_interval=1)
auto_scale_lr = dict(base_batch_size=batch)
