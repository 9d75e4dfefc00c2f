# On ConvMAE-B: its three stages and a pooled fourth level; windows of 16 in the third but for four blocks.
_base_ = 'upernet.py'

model = dict(
    backbone=dict(
        type='mim_plugins.ConvMAEEncoder',
        multi_scale_fusion=False,
        arch='base',
        out_indices=[0, 1, 2],
        window_size=16,
        global_blocks=[0, 3, 6, 10],
        drop_path_rate=0.1),
    neck=dict(type='mim_plugins.PooledLevel'),
    decode_head=dict(in_channels=[256, 384, 768, 768]),
    auxiliary_head=dict(in_channels=768))
