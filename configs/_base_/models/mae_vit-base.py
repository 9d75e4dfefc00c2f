# MAE with ViT-B/16 at 224 px: 49 of 196 tokens for the encoder, 8 blocks 512 wide as decoder, patch-normalised pixels.
model = dict(
    type='mim_plugins.MAE',
    input_size=224,
    data_preprocessor=dict(
        type='mim_plugins.MaskingDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        to_rgb=True,
        mask=dict(type='mim_plugins.RandomMasks', unit=16, ratio=0.75)),
    fill=dict(type='mim_plugins.TokenDropFill'),
    target_generator=dict(type='mim_plugins.PixelTarget', norm_patch=16),
    backbone=dict(type='mim_plugins.SinCosVisionTransformer', arch='base', patch_size=16, out_type='raw'),
    neck=dict(
        type='mim_plugins.MAEDecoder', channels_last=True,
        in_channels=768, stride=16, num_extra_tokens=1, embed_dims=512, depth=8, num_heads=16),
    head=dict(type='mim_plugins.ReconstructionHead'))
