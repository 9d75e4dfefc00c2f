# Unlabelled images at 224 px, otherwise as SimMIM's at 192.
_base_ = 'unlabelled_128_bicubic.py'

train_dataloader = dict(
    batch_size=128,
    dataset=dict(pipeline=[
        dict(type='mim_plugins.LoadRGBImage'),
        dict(
            type='mim_plugins.RandomResizedCrop',
            scale=224,
            crop_ratio_range=(0.67, 1.0),
            backend='pillow',
            interpolation='bilinear'),
        dict(type='RandomFlip', prob=0.5),
        dict(type='PackInputs'),
    ]))
