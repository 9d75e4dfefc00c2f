# Mask R-CNN on Swin-B, mmdet's own heads; tests pad to whole strides only.
_base_ = 'mask-rcnn.py'

model = dict(
    data_preprocessor=dict(
        pad_size_divisor=32,
        batch_augments=[dict(type='BatchFixedSizePad', size=(1024, 1024), pad_mask=True)]),
    backbone=dict(
        _delete_=True, type='mim_plugins.ResizableSwin', arch='base', window_size=7, img_size=1024,
        out_indices=(0, 1, 2, 3), pad_small_map=True, drop_path_rate=0.2),
    neck=dict(in_channels=[128, 256, 512, 1024]))
