# As at 224 px, with images of 512 px; short side of 585 px in testing.
_base_ = 'imagenet_224_finetune.py'

size = 512
load, crop, *augment = _base_.train_dataloader.dataset.pipeline
train_dataloader = dict(dataset=dict(pipeline=[load, dict(crop, scale=size), *augment]))
load, resize, crop, pack = _base_.val_dataloader.dataset.pipeline
val_dataloader = dict(dataset=dict(
    pipeline=[load, dict(resize, scale=size * 8 // 7), dict(crop, crop_size=size), pack]))
test_dataloader = val_dataloader
