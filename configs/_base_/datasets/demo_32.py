# A part of the demo data at 32 px: as much as two CPU cores learn from in about a minute.
_base_ = 'unlabelled_128_bicubic.py'

train_dataloader = dict(
    batch_size=64,
    num_workers=0,  # on two cores a worker takes more from the training than it gives
    dataset=dict(
        data_root='data/demo/pretrain',
        indices=6144,
        pipeline=[
            dict(type='mim_plugins.LoadRGBImage'),
            dict(type='mim_plugins.RandomResizedCrop', scale=32, crop_ratio_range=(0.5, 1.0), backend='pillow',
                 interpolation='bicubic'),
            dict(type='PackInputs'),
        ]))
