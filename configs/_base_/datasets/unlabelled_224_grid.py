# Unlabelled images at 224 px: crops of 14 x 14 cells of a middle image of 256 px, with stored features of a teacher.
_base_ = 'unlabelled_128_bicubic.py'

train_dataloader = dict(
    batch_size=512,
    dataset=dict(pipeline=[
        dict(type='mim_plugins.LoadRGBImage'),
        dict(type='mim_plugins.GridAlignedCrop', scale=224, patch=16, middle_size=256),
        dict(
            type='mim_plugins.LoadOfflineTarget', store='data/features/mae_vit-base',
            image_root='data/imagenet/train'),
        dict(type='mim_plugins.PackInputs'),
    ]))
