# FastMIM with ViT-B/16 at 128 px: 8 x 8 tokens of 768, decoder of one block 256 wide, HOG targets.
model = dict(
    type='mim_plugins.FastMIM',
    input_size=128,
    data_preprocessor=dict(
        type='mim_plugins.MaskingDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        to_rgb=True,
        mask=dict(type='mim_plugins.RandomMasks', unit=16, ratio=0.75)),
    fill=dict(type='mim_plugins.ImageTokenFill'),
    target_generator=dict(type='mim_plugins.HOGTarget'),
    backbone=dict(type='mim_plugins.SinCosVisionTransformer', arch='base', patch_size=16, out_type='raw'),
    neck=dict(
        type='mim_plugins.TransformerDecoder',
        in_channels=768, stride=16, num_extra_tokens=1, embed_dims=256, depth=1),
    head=dict(type='mim_plugins.ReconstructionHead'))
