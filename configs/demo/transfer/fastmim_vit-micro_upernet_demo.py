"""UperNet on the demo data, with the encoder of the quick start.

Paper:   UperNet (arXiv 1807.10221) on the encoder of FastMIM (arXiv 2212.06593)
Command: python tools/train.py configs/demo/transfer/fastmim_vit-micro_upernet_demo.py
Batch:   1 process x 16; lr 1e-3
Result:  mIoU 22.6; from random weights 6.2 (one run each, tools/demo_transfer.py)
"""
_base_ = ['../../_base_/transfer/demo_segmentation.py', '../../_base_/transfer/demo_schedule.py']

default_scope = 'mmseg'
visualizer = dict(_delete_=True, type='SegLocalVisualizer', vis_backends=[dict(type='LocalVisBackend')])
default_hooks = dict(visualization=dict(_delete_=True, type='SegVisualizationHook'))
norm = dict(type='BN')
head = dict(num_classes=10, norm_cfg=norm, align_corners=False, dropout_ratio=0.1)
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        size=(48, 48),
        pad_val=0,
        seg_pad_val=255),
    backbone=dict(
        type='mim_plugins.DenseVisionTransformer',
        arch=dict(embed_dims=128, num_layers=4, num_heads=4, feedforward_channels=512),
        img_size=32,
        patch_size=8,
        out_indices=[0, 1, 2, 3],
        with_cls_token=True),
    neck=dict(type='Feature2Pyramid', embed_dim=128, norm_cfg=norm),
    decode_head=dict(
        type='UPerHead', in_channels=[128] * 4, in_index=[0, 1, 2, 3], pool_scales=(1, 2, 3), channels=64, **head),
    auxiliary_head=dict(
        type='FCNHead', in_channels=128, in_index=2, channels=64, num_convs=1, concat_input=False,
        loss_decode=dict(type='CrossEntropyLoss', loss_weight=0.4), **head),
    test_cfg=dict(mode='whole'))
