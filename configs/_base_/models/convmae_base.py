# ConvMAE: MAE with two stages of masked convolutions before the ViT blocks; no cls token.
_base_ = 'mae_vit-base.py'

model = dict(
    backbone=dict(_delete_=True, type='mim_plugins.ConvMAEEncoder', arch='base'),
    neck=dict(num_extra_tokens=0))
