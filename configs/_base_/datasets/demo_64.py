# A part of the demo data at 64 px, for encoders whose last map has a stride of 32.
_base_ = 'demo_32.py'

train_dataloader = dict(dataset=dict(
    indices=4096,
    pipeline=[
        dict(type='mim_plugins.LoadRGBImage'),
        dict(type='mim_plugins.RandomResizedCrop', scale=64, crop_ratio_range=(0.5, 1.0), backend='pillow',
             interpolation='bicubic'),
        dict(type='PackInputs'),
    ]))
