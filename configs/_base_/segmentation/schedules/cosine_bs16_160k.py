# The same with a learning rate that falls as half a cosine.
_base_ = 'linear_bs16_160k.py'

param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, by_epoch=False, begin=0, end=1500),
    dict(type='CosineAnnealingLR', eta_min=0.0, by_epoch=False, begin=1500, end=160000, T_max=158500),
]
