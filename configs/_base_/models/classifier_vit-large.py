# ViT-L/16 at 224 px, drop path .2.
_base_ = 'classifier_vit-base.py'

model = dict(backbone=dict(arch='large', drop_path_rate=0.2), head=dict(in_channels=1024))
