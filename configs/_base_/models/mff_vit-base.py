# MFF: MAE whose encoder gives a weighted mean of six layers.
_base_ = 'mae_vit-base.py'

model = dict(backbone=dict(type='mim_plugins.MFFVisionTransformer', fused_layers=[0, 2, 4, 6, 8, 11]))
