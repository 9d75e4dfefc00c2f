# PVTv1-L at 224 px with a cls token, which pre-training has not; drop path .3.
_base_ = 'classifier.py'

model = dict(
    backbone=dict(
        type='mim_plugins.PyramidVisionTransformer', arch='large', img_size=224, with_cls_token=True,
        out_type='cls_token', drop_path_rate=0.3),
    neck=None,
    head=dict(in_channels=512))
