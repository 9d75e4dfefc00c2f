# Unlabelled images at 224 px: PixMIM's simple resized crop (short side to 224, reflected by 4 px, cut at random), flip.
_base_ = 'unlabelled_128_bicubic.py'

train_dataloader = dict(
    batch_size=512,
    dataset=dict(pipeline=[
        dict(type='mim_plugins.LoadRGBImage'),
        dict(type='mim_plugins.SimpleResizedCrop', scale=224),
        dict(type='RandomFlip', prob=0.5),
        dict(type='PackInputs'),
    ]))
