# Unlabelled images at 192 px: random resized crop .67-1 (bilinear), flip, as in SimMIM.
_base_ = 'unlabelled_128_bicubic.py'

train_dataloader = dict(
    batch_size=128,
    dataset=dict(pipeline=[
        dict(type='mim_plugins.LoadRGBImage'),
        dict(
            type='mim_plugins.RandomResizedCrop',
            scale=192,
            crop_ratio_range=(0.67, 1.0),
            backend='pillow',
            interpolation='bilinear'),
        dict(type='RandomFlip', prob=0.5),
        dict(type='PackInputs'),
    ]))
