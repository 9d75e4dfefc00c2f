# A linear classifier on the averaged, normalised last map of a frozen ConvMAE-B at 224 px.
_base_ = 'linear_vit-base.py'

model = dict(
    backbone=dict(
        _delete_=True, type='mim_plugins.ConvMAEEncoder', arch='base', img_size=224, multi_scale_fusion=False),
    neck=[dict(type='GlobalAveragePooling'), dict(type='ClsBatchNormNeck', input_features=768)])
