# MixMIM with Swin-B at 224 px: shifted windows of 7, in which a token sees those of its own image.
_base_ = 'mixmim_base.py'

model = dict(backbone=dict(
    _delete_=True, type='mim_plugins.ResizableSwin', arch='base', window_stride=32, out_indices=(3, ),
    drop_path_rate=0.0,
    init_cfg=[
        dict(type='TruncNormal', layer='Linear', std=0.02, bias=0.),
        dict(type='Constant', layer='LayerNorm', val=1., bias=0.),
    ]))
