# Places365-Standard at 256 px in its own lists; augmented as ImageNet-1K for fine-tuning.
_base_ = 'imagenet_224_finetune.py'

train_dataloader = dict(dataset=dict(
    _delete_=True, type='mim_plugins.Places', data_root='data/places365',
    data_prefix='data_256',
    ann_file='places365_train_standard.txt', pipeline=_base_.train_dataloader.dataset.pipeline))
val_dataloader = dict(dataset=dict(
    _delete_=True, type='mim_plugins.Places', data_root='data/places365',
    data_prefix='val_256',
    ann_file='places365_val.txt', pipeline=_base_.val_dataloader.dataset.pipeline))
test_dataloader = val_dataloader
data_preprocessor = dict(num_classes=365)
