# MAE at 224 px: 49 of 196 tokens for FastMIM's ViT-B/16, a decoder of 8 blocks 512 wide, patch-normalised pixels.
_base_ = 'fastmim_vit-base.py'

model = dict(
    type='mim_plugins.MAE',
    input_size=224,
    fill=dict(type='mim_plugins.TokenDropFill'),
    target_generator=dict(_delete_=True, type='mim_plugins.PixelTarget', norm_patch=16),
    neck=dict(type='mim_plugins.MAEDecoder', channels_last=True, embed_dims=512, depth=8, num_heads=16))
