# MixMIM with the three times wider ResNet-50 of BiT at 224 px: convolution, norms and pooling for each image.
_base_ = 'mixmim_base.py'

model = dict(
    backbone=dict(
        _delete_=True, type='mim_plugins.MixedTIMMEncoder', model_name='resnetv2_50x3_bit'),
    neck=dict(in_channels=6144))
