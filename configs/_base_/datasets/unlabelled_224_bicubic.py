# Unlabelled images at 224 px: random resized crop .2-1 (bicubic), flip, as in MAE.
_base_ = 'unlabelled_128_bicubic.py'

train_dataloader = dict(
    batch_size=512,
    dataset=dict(pipeline=[
        dict(type='mim_plugins.LoadRGBImage'),
        dict(
            type='mim_plugins.RandomResizedCrop',
            scale=224,
            crop_ratio_range=(0.2, 1.0),
            backend='pillow',
            interpolation='bicubic'),
        dict(type='RandomFlip', prob=0.5),
        dict(type='PackInputs'),
    ]))
