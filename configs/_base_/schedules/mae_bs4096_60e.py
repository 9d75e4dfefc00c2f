# MAE's optimisation for 60 epochs.
_base_ = 'mae_bs4096_800e.py'

param_scheduler = [
    dict(type='LinearLR', start_factor=1e-4, by_epoch=True, begin=0, end=40, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', by_epoch=True, begin=40, end=60, T_max=20, convert_to_iter_based=True),
]
train_cfg = dict(max_epochs=60)
