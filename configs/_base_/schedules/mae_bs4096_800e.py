# MAE's optimisation: FastMIM's at batch 4096, with 40 epochs of warmup.
_base_ = 'fastmim_bs2048_800e.py'

base_lr = 1.5e-4
batch = 4096
optim_wrapper = dict(optimizer=dict(lr=base_lr * batch / 256))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-4, by_epoch=True, begin=0, end=40, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', by_epoch=True, begin=40, end=800, T_max=760, convert_to_iter_based=True),
]
auto_scale_lr = dict(base_batch_size=batch)
