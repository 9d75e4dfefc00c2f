# FastMIM with Swin-B at 128 px: windows of 4, last map 4 x 4 x 1024, decoder of 4 blocks 256 wide.
_base_ = 'fastmim_hierarchical.py'

model = dict(
    backbone=dict(
        type='mim_plugins.ResizableSwin', arch='base', window_stride=32, out_indices=(3, ), drop_path_rate=0.0,
        init_cfg=[
            dict(type='TruncNormal', layer='Linear', std=0.02, bias=0.),
            dict(type='Constant', layer='LayerNorm', val=1., bias=0.),
        ]),
    neck=dict(in_channels=1024))
