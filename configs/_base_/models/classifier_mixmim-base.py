# MixMIM-B at 224 px, drop path .1.
_base_ = 'classifier.py'

model = dict(
    backbone=dict(type='mim_plugins.MixMIMTransformer', arch='base', img_size=224, drop_path_rate=0.1),
    head=dict(in_channels=1024))
