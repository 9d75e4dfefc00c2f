# mmdet's Mask R-CNN; boxes are proposed and read in float32. Images of training and of a 1024-px test are padded to
# 1024 px.
_base_ = 'mmdet::_base_/models/mask-rcnn_r50_fpn.py'

model = dict(
    data_preprocessor=dict(pad_size_divisor=1024),
    rpn_head=dict(type='mim_plugins.Float32RPNHead'),
    roi_head=dict(
        bbox_roi_extractor=dict(type='mim_plugins.Float32RoIExtractor'),
        mask_roi_extractor=dict(type='mim_plugins.Float32RoIExtractor')))
