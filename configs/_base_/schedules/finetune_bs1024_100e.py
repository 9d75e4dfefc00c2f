# Fine-tuning as MAE's: AdamW, lr = 5e-4 x batch / 256, layer-wise decay .65, bf16; after 5 epochs of warmup a cosine
# that ends in every layer at the same share of its own peak (1e-6 at 2e-3).
base_lr = 5e-4
batch = 1024

optim_wrapper = dict(
    type='AmpOptimWrapper',
    dtype='bfloat16',
    loss_scale=dict(enabled=False),
    optimizer=dict(type='AdamW', lr=base_lr * batch / 256, betas=(0.9, 0.999), weight_decay=0.05, fused=True),
    constructor='mim_plugins.LayerDecayOptimWrapperConstructor',
    paramwise_cfg=dict(layer_decay_rate=0.65))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-4, by_epoch=True, begin=0, end=5, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min_ratio=5e-4, by_epoch=True, begin=5, end=100, T_max=95,
         convert_to_iter_based=True),
]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=100)
auto_scale_lr = dict(base_batch_size=batch)
