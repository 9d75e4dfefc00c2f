# SwinV2-H at 224 px with windows of 14 (7 in the last stage), pre-trained with 12 and 6.
_base_ = 'classifier.py'

model = dict(
    backbone=dict(
        type='mim_plugins.ResizableSwinV2', arch='huge', img_size=224, window_stride=16,
        pretrained_window_sizes=[12, 12, 12, 6], out_indices=(3, ), drop_path_rate=0.1, with_cp=True),
    head=dict(in_channels=2816))
