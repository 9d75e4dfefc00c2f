# A linear classifier as MAE's: LARS, lr = .1 x batch / 256, no decay, cosine after 10 epochs of warmup, bf16.
base_lr = 0.1
batch = 16384

optim_wrapper = dict(
    type='AmpOptimWrapper',
    dtype='bfloat16',
    loss_scale=dict(enabled=False),
    optimizer=dict(type='LARS', lr=base_lr * batch / 256, momentum=0.9, weight_decay=0.0),
    constructor='mim_plugins.LayerDecayOptimWrapperConstructor',  # leaves out what is frozen
    paramwise_cfg=dict(custom_keys={'head.fc.bias': dict(lars_exclude=True)}))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-4, by_epoch=True, begin=0, end=10, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', by_epoch=True, begin=10, end=90, T_max=80, convert_to_iter_based=True),
]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=90)
auto_scale_lr = dict(base_batch_size=batch)
