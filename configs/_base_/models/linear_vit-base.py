# A linear classifier on the normalised cls token of a frozen ViT-B/16 at 224 px.
model = dict(
    type='mim_plugins.FrozenEncoderClassifier',
    backbone=dict(
        type='VisionTransformer', arch='base', img_size=224, patch_size=16, out_type='cls_token', final_norm=True),
    neck=dict(type='ClsBatchNormNeck', input_features=768),
    head=dict(
        type='LinearClsHead',
        num_classes=1000,
        in_channels=768,
        loss=dict(type='CrossEntropyLoss'),
        init_cfg=dict(type='TruncNormal', layer='Linear', std=0.01)))
