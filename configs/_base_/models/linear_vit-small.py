# A linear classifier on the normalised cls token of a frozen ViT-S/16 at 224 px.
_base_ = 'linear_vit-base.py'

model = dict(
    backbone=dict(arch=dict(_delete_=True, embed_dims=384, num_layers=12, num_heads=6, feedforward_channels=1536)),
    neck=dict(input_features=384),
    head=dict(in_channels=384))
