# SimMIM's optimisation for ViT-B: cosine over 800 epochs after 20 of warmup.
_base_ = 'simmim_bs2048_100e.py'

param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=True, begin=0, end=20, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', by_epoch=True, begin=20, end=800, T_max=780, convert_to_iter_based=True),
]
train_cfg = dict(max_epochs=800)
