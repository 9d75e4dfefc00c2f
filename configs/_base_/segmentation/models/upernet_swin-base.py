# On Swin-B with windows of 7.
_base_ = 'upernet.py'

model = dict(
    backbone=dict(
        type='mim_plugins.ResizableSwin',
        arch='base',
        img_size=512,
        window_size=7,
        out_indices=[0, 1, 2, 3],
        pad_small_map=True,
        drop_path_rate=0.1),
    decode_head=dict(in_channels=[128, 256, 512, 1024]),
    auxiliary_head=dict(in_channels=512))
