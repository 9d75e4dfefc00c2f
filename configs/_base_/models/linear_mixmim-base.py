# A linear classifier on the averaged, normalised last map of a frozen MixMIM-B at 224 px.
_base_ = 'linear_vit-base.py'

model = dict(
    backbone=dict(_delete_=True, type='mim_plugins.MixMIMTransformer', arch='base', img_size=224),
    neck=[dict(type='GlobalAveragePooling'), dict(type='ClsBatchNormNeck', input_features=1024)],
    head=dict(in_channels=1024))
