# ViT-S/16 at 224 px: 384 wide, 12 layers of 6 heads, drop path .1.
_base_ = 'classifier_vit-base.py'

model = dict(
    backbone=dict(arch=dict(_delete_=True, embed_dims=384, num_layers=12, num_heads=6, feedforward_channels=1536)),
    head=dict(in_channels=384))
