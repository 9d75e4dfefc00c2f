# UperNet (arXiv 1807.10221) with an auxiliary FCN head on the third level, for ADE20K's 150 classes.
norm_cfg = dict(type='SyncBN', requires_grad=True)
shared = dict(num_classes=150, norm_cfg=norm_cfg, align_corners=False, dropout_ratio=0.1)

model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        size=(512, 512),
        pad_val=0,
        seg_pad_val=255),
    decode_head=dict(
        type='UPerHead',
        in_index=[0, 1, 2, 3],
        pool_scales=(1, 2, 3, 6),
        channels=512,
        loss_decode=dict(type='CrossEntropyLoss', loss_weight=1.0),
        **shared),
    auxiliary_head=dict(
        type='FCNHead',
        in_index=2,
        channels=256,
        num_convs=1,
        concat_input=False,
        loss_decode=dict(type='CrossEntropyLoss', loss_weight=0.4),
        **shared),
    train_cfg={},
    test_cfg=dict(mode='whole'))
tta_model = dict(type='SegTTAModel')
