# FastMIM's optimisation for 400 epochs.
_base_ = 'fastmim_bs2048_800e.py'

param_scheduler = [
    dict(type='LinearLR', start_factor=1e-4, by_epoch=True, begin=0, end=10, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', by_epoch=True, begin=10, end=400, T_max=390, convert_to_iter_based=True),
]
train_cfg = dict(max_epochs=400)
