# SimMIM with Swin-B at 192 px: 60 % of 32-px units masked behind the patch embedding, pixels, linear decoder, L1.
model = dict(
    type='mim_plugins.SimMIM',
    input_size=192,
    data_preprocessor=dict(
        type='mim_plugins.MaskingDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        to_rgb=True,
        mask=dict(type='mim_plugins.RandomMasks', unit=32, ratio=0.6, rounding='ceil_masked')),
    fill=dict(type='mim_plugins.PatchTokenFill'),
    target_generator=dict(type='mim_plugins.PixelTarget'),
    backbone=dict(
        type='mim_plugins.ResizableSwin', arch='base', window_stride=32, out_indices=(3, ), drop_path_rate=0.0,
        init_cfg=[
            dict(type='TruncNormal', layer='Linear', std=0.02, bias=0.),
            dict(type='Constant', layer='LayerNorm', val=1., bias=0.),
        ]),
    neck=dict(type='mim_plugins.LinearDecoder', in_channels=1024, stride=32),
    head=dict(type='mim_plugins.ReconstructionHead', loss=dict(criterion='L1', eps=1e-5)))
