# ViT-B/16 at 224 px, the mean of the patch tokens behind a new norm, drop path .1.
_base_ = 'classifier.py'

model = dict(
    backbone=dict(
        type='VisionTransformer', arch='base', img_size=224, patch_size=16, out_type='avg_featmap', final_norm=False,
        drop_path_rate=0.1),
    neck=None,
    head=dict(in_channels=768))
