# Mask R-CNN on Swin-B with mmdet's own heads.
_base_ = ['mask-rcnn.py', 'swin-base.py']

model = dict(backbone=dict(_base_.swin, _delete_=True), neck=dict(in_channels=_base_.swin_widths))
