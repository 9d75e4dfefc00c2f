# mmdet's Mask R-CNN; boxes are proposed and read in float32. Images of a training at 1024 px are padded to one size.
_base_ = 'mmdet::_base_/models/mask-rcnn_r50_fpn.py'

model = dict(
    data_preprocessor=dict(batch_augments=[dict(type='BatchFixedSizePad', size=(1024, 1024), pad_mask=True)]),
    rpn_head=dict(type='mim_plugins.Float32RPNHead'),
    roi_head=dict(
        bbox_roi_extractor=dict(type='mim_plugins.Float32RoIExtractor'),
        mask_roi_extractor=dict(type='mim_plugins.Float32RoIExtractor')))
