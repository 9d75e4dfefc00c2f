# On MixMIM-B with windows of 16, and of 32 in blocks 6, 12 and 18 of the third stage.
_base_ = 'upernet.py'

model = dict(
    backbone=dict(
        type='mim_plugins.MixMIMTransformer',
        arch='base',
        window_size=16,
        large_window=32,
        large_window_blocks={2: [5, 11, 17]},
        out_indices=[0, 1, 2, 3],
        out_norms=True,
        pad=True,
        drop_path_rate=0.1),
    decode_head=dict(in_channels=[128, 256, 512, 1024]),
    auxiliary_head=dict(in_channels=512))
