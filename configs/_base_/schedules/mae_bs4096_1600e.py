# MAE's optimisation for 1600 epochs.
_base_ = 'mae_bs4096_800e.py'

param_scheduler = [
    dict(type='LinearLR', start_factor=1e-4, by_epoch=True, begin=0, end=40, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', by_epoch=True, begin=40, end=1600, T_max=1560, convert_to_iter_based=True),
]
train_cfg = dict(max_epochs=1600)
