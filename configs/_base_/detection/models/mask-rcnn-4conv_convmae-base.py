# Mask R-CNN on ConvMAE-B: its three stages and a pooled fourth, windows of 16 in the third but for four blocks.
_base_ = 'mask-rcnn-4conv.py'

model = dict(
    data_preprocessor=dict(pad_size_divisor=1024),  # in tests too: positions are those of 1024 px
    backbone=dict(
        _delete_=True, type='mim_plugins.ConvMAEEncoder', arch='base', multi_scale_fusion=False,
        out_indices=(0, 1, 2), window_size=16, global_blocks=(0, 3, 6, 10), drop_path_rate=0.1),
    neck=[
        dict(type='mim_plugins.PooledLevel'),
        dict(type='FPN', in_channels=[256, 384, 768, 768], out_channels=256, num_outs=5,
             norm_cfg=dict(type='SyncBN', requires_grad=True)),
    ])
