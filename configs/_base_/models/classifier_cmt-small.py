# CMT-S at 224 px with its own classifier: 1x1 convolution to 1280, BN, Swish, average; drop path .1.
_base_ = 'classifier.py'

model = dict(
    backbone=dict(type='mim_plugins.CMT', arch='small', img_size=224, drop_path_rate=0.1),
    neck=dict(_delete_=True, type='mim_plugins.ConvPoolNeck', in_channels=512, out_channels=1280),
    head=dict(in_channels=1280))
