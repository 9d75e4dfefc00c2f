# MixMIM-B at 224 px: half of 7 x 7 units are another image's, a decoder of 8 blocks 512 wide, patch-normalised pixels.
model = dict(
    type='mim_plugins.MixMIM',
    input_size=224,
    data_preprocessor=dict(
        type='mim_plugins.MixedMaskingDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        to_rgb=True,
        mask=dict(type='mim_plugins.RandomMasks', unit=32, ratio=0.5, rounding='floor_masked')),
    fill=dict(type='mim_plugins.MixFill'),
    target_generator=dict(type='mim_plugins.PixelTarget', norm_patch=32),
    backbone=dict(type='mim_plugins.MixMIMTransformer', arch='base'),
    neck=dict(
        type='mim_plugins.MAEDecoder',
        in_channels=1024, stride=32, channels_last=True, embed_dims=512, depth=8, num_heads=16),
    head=dict(type='mim_plugins.ReconstructionHead'))
