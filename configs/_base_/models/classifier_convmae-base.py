# ConvMAE-B at 224 px without the skips of pre-training, drop path .1.
_base_ = 'classifier.py'

model = dict(
    backbone=dict(
        type='mim_plugins.ConvMAEEncoder', arch='base', img_size=224, multi_scale_fusion=False, drop_path_rate=0.1),
    head=dict(in_channels=768))
