# The three times wider ResNet-50 of BiT at 224 px, drop path .1.
_base_ = 'classifier.py'

model = dict(
    backbone=dict(type='mim_plugins.TIMMEncoder', model_name='resnetv2_50x3_bit', drop_path_rate=0.1),
    head=dict(in_channels=6144))
