# Labelled ImageNet-1K at 224 px for a linear classifier: bicubic crops .08-1 and flip, no further augmentation.
_base_ = 'imagenet_224_finetune.py'

load, crop, flip, *_, pack = _base_.train_dataloader.dataset.pipeline
train_dataloader = dict(batch_size=2048, dataset=dict(pipeline=[load, crop, flip, pack]))
