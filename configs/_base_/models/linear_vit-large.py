# A linear classifier on the normalised cls token of a frozen ViT-L/16 at 224 px.
_base_ = 'linear_vit-base.py'

model = dict(backbone=dict(arch='large'), neck=dict(input_features=1024), head=dict(in_channels=1024))
