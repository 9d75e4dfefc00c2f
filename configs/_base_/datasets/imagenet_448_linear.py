# Labelled ImageNet-1K at 448 px for a linear classifier.
_base_ = 'imagenet_448_finetune.py'

load, crop, flip, *_, pack = _base_.train_dataloader.dataset.pipeline
train_dataloader = dict(batch_size=1024, dataset=dict(pipeline=[load, crop, flip, pack]))
