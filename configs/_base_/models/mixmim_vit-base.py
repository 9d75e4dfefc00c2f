# MixMIM with ViT-B/16 at 224 px: 14 x 14 tokens, mixed in units of 2 x 2, a cls token for each image.
_base_ = 'mixmim_base.py'

model = dict(
    target_generator=dict(norm_patch=16),
    backbone=dict(
        _delete_=True, type='mim_plugins.SinCosVisionTransformer', arch='base', patch_size=16, out_type='raw'),
    neck=dict(in_channels=768, stride=16, num_extra_tokens=1))
