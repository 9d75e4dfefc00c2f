# Mask R-CNN on PVTv2-B2, mmdet's own heads.
_base_ = 'mask-rcnn.py'

model = dict(
    backbone=dict(
        _delete_=True, type='mim_plugins.TIMMEncoder', model_name='pvt_v2_b2', out_indices=(0, 1, 2, 3),
        drop_path_rate=0.1),
    neck=dict(in_channels=[64, 128, 320, 512]))
