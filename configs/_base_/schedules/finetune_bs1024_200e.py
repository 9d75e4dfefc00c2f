# Fine-tuning as MAE's for 200 epochs.
_base_ = 'finetune_bs1024_100e.py'

param_scheduler = [
    dict(type='LinearLR', start_factor=1e-4, by_epoch=True, begin=0, end=5, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min_ratio=5e-4, by_epoch=True, begin=5, end=200, T_max=195,
         convert_to_iter_based=True),
]
train_cfg = dict(max_epochs=200)
