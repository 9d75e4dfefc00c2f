# Mask R-CNN on Swin-B with the heads of SimMIM's transfer.
_base_ = ['mask-rcnn-4conv.py', 'swin-base.py']

model = dict(backbone=dict(_base_.swin, _delete_=True), neck=dict(in_channels=_base_.swin_widths))
