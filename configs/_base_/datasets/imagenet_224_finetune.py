# Labelled ImageNet-1K at 224 px: bicubic crops .08-1, flip, RandAugment 9/.5, erasing .25, as MAE and Swin fine-tune.
_base_ = 'mmpretrain::_base_/datasets/imagenet_bs64_swin_224.py'

train_dataloader = dict(batch_size=128, num_workers=8, drop_last=True)
val_dataloader = dict(batch_size=128, num_workers=8)
test_dataloader = dict(batch_size=128, num_workers=8)
