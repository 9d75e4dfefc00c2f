# As at 224 px, with images of 192 px; short side of 219 px in testing.
_base_ = 'imagenet_224_finetune.py'

train_pipeline = _base_.train_dataloader.dataset.pipeline
train_pipeline[1].scale = 192
test_pipeline = _base_.val_dataloader.dataset.pipeline
test_pipeline[1].scale = 219
test_pipeline[2].crop_size = 192
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
