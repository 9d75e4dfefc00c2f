# As unlabelled_128_bicubic, decoding JPEGs at a fraction of their size where the crop shrinks them as much.
_base_ = 'unlabelled_128_bicubic.py'

train_dataloader = dict(
    prefetch_factor=4,  # batches that each worker has ready: of 256 pictures at 128 px 13 MB each
    dataset=dict(pipeline=[
        dict(
            type='mim_plugins.LoadAndCrop',
            crop=dict(
                type='mim_plugins.RandomResizedCrop',
                scale=128,
                crop_ratio_range=(0.2, 1.0),
                backend='pillow',
                interpolation='bicubic')),
        dict(type='mim_plugins.RandomFlip', prob=0.5),
        dict(type='PackInputs'),
    ]))
