# MixMIM's optimisation for 600 epochs.
_base_ = 'mixmim_bs1024_300e.py'

param_scheduler = [
    dict(type='LinearLR', start_factor=1e-4, by_epoch=True, begin=0, end=40, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', by_epoch=True, begin=40, end=600, T_max=560, convert_to_iter_based=True),
]
train_cfg = dict(max_epochs=600)
