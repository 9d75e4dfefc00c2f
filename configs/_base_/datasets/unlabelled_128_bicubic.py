# Unlabelled images at 128 px: random resized crop .2-1 (bicubic), flip, as in FastMIM.
# Any folder of images or, with ann_file, a list of paths.
train_dataloader = dict(
    batch_size=256,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='mim_plugins.KeyedSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type='mim_plugins.UnlabelledImages',
        data_root='data/imagenet/train',
        pipeline=[
            dict(type='mim_plugins.LoadRGBImage'),
            dict(
                type='mim_plugins.RandomResizedCrop',
                scale=128,
                crop_ratio_range=(0.2, 1.0),
                backend='pillow',
                interpolation='bicubic'),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackInputs'),
        ]))
