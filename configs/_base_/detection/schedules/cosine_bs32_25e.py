# FastMIM's for ViT, which is also ConvMAE's: lr = 6.4e-4 x 32 / 256 = 8e-5, cosine over 25 epochs.
_base_ = 'adamw.py'

base_lr = 6.4e-4
batch = 32
optim_wrapper = dict(
    optimizer=dict(lr=base_lr * batch / 256, weight_decay=0.1),
    constructor='mim_plugins.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(layer_decay_rate=1.0))  # for what it leaves undecayed
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=False, begin=0, end=1500),
    dict(type='CosineAnnealingLR', by_epoch=True, begin=0, end=25, T_max=25, convert_to_iter_based=True),
]
train_cfg = dict(max_epochs=25, val_interval=5)
auto_scale_lr = dict(base_batch_size=batch)
