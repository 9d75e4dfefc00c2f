# Mask R-CNN on Swin-B with the heads of SimMIM's transfer.
_base_ = 'mask-rcnn-4conv.py'

model = dict(
    backbone=dict(
        _delete_=True, type='mim_plugins.ResizableSwin', arch='base', window_size=7, img_size=1024,
        out_indices=(0, 1, 2, 3), pad_small_map=True, drop_path_rate=0.2),
    neck=dict(in_channels=[128, 256, 512, 1024]))
