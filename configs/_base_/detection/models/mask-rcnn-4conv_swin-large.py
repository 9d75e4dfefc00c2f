# Mask R-CNN on Swin-L, windows of 14 as it is fine-tuned, with the heads of SimMIM's transfer.
_base_ = 'mask-rcnn-4conv_swin-base.py'

model = dict(
    backbone=dict(arch='large', window_size=14, drop_path_rate=0.3, with_cp=True),
    neck=dict(in_channels=[192, 384, 768, 1536]))
