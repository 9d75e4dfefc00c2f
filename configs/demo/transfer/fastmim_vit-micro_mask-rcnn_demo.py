"""Mask R-CNN on the demo data, with the encoder of the quick start.

Paper:   Mask R-CNN (arXiv 1703.06870) on ViTDet's pyramid (arXiv 2203.16527) and the encoder of FastMIM
         (arXiv 2212.06593)
Command: python tools/train.py configs/demo/transfer/fastmim_vit-micro_mask-rcnn_demo.py
Batch:   1 process x 8; lr 3e-4
Result:  box AP 26.5, mask AP 12.4; from random weights 21.0 and 9.0 (one run each, tools/demo_transfer.py)
"""
_base_ = [
    'mmdet::_base_/models/mask-rcnn_r50_fpn.py',
    '../../_base_/transfer/demo_detection.py',
    '../../_base_/transfer/demo_schedule.py',
]

default_scope = 'mmdet'
visualizer = dict(_delete_=True, type='DetLocalVisualizer', vis_backends=[dict(type='LocalVisBackend')])
default_hooks = dict(visualization=dict(_delete_=True, type='DetVisualizationHook'))
roi = dict(out_channels=64, featmap_strides=[2, 4, 8, 16], finest_scale=7)  # digits are 10 to 48 px high
model = dict(
    data_preprocessor=dict(pad_size_divisor=16),
    backbone=dict(
        _delete_=True,
        type='mim_plugins.DenseVisionTransformer',
        arch=dict(embed_dims=128, num_layers=4, num_heads=4, feedforward_channels=512),
        img_size=32,
        patch_size=8,
        out_indices=[3],
        with_cls_token=True),
    neck=dict(_delete_=True, type='mim_plugins.SimpleFeaturePyramid', in_channels=128, out_channels=64, num_outs=5),
    rpn_head=dict(in_channels=64, feat_channels=64, anchor_generator=dict(strides=[2, 4, 8, 16, 32])),
    roi_head=dict(
        bbox_roi_extractor=roi,
        bbox_head=dict(in_channels=64, fc_out_channels=256, num_classes=10),
        mask_roi_extractor=roi,
        mask_head=dict(num_convs=2, in_channels=64, conv_out_channels=64, num_classes=10, norm_cfg=dict(type='BN'))),
    train_cfg=dict(
        rpn=dict(sampler=dict(num=64)),
        rpn_proposal=dict(nms_pre=200, max_per_img=100),
        rcnn=dict(sampler=dict(num=16, pos_fraction=0.5))),
    test_cfg=dict(rpn=dict(nms_pre=200, max_per_img=100), rcnn=dict(max_per_img=20)))
optim_wrapper = dict(optimizer=dict(lr=3e-4))
