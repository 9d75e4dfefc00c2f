# Swin-B at 224 px with windows of 7, drop path .1.
_base_ = 'classifier.py'

model = dict(
    backbone=dict(
        type='mim_plugins.ResizableSwin', arch='base', img_size=224, window_size=7, out_indices=(3, ),
        drop_path_rate=0.1),
    head=dict(in_channels=1024))
