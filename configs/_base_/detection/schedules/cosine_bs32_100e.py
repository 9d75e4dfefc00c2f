# FastMIM's for ViT over 100 epochs.
_base_ = 'cosine_bs32_25e.py'

param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=False, begin=0, end=1500),
    dict(type='CosineAnnealingLR', by_epoch=True, begin=0, end=100, T_max=100, convert_to_iter_based=True),
]
train_cfg = dict(max_epochs=100, val_interval=10)
