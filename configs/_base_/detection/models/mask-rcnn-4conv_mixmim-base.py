# Mask R-CNN on MixMIM-B: windows of 16, in each sixth block of the third stage of 32.
_base_ = 'mask-rcnn-4conv.py'

model = dict(
    data_preprocessor=dict(pad_size_divisor=1024),  # in tests too: positions are those of 1024 px
    backbone=dict(
        _delete_=True, type='mim_plugins.MixMIMTransformer', arch='base', window_size=[16, 16, 16, 16],
        large_window_blocks={2: [5, 11, 17]}, large_window=32, out_indices=(0, 1, 2, 3), out_norms=True, pad=True,
        drop_path_rate=0.1),
    neck=dict(in_channels=[128, 256, 512, 1024]))
