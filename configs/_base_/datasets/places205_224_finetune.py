# Places205 in its own lists; augmented as ImageNet-1K for fine-tuning.
_base_ = 'imagenet_224_finetune.py'

train_dataloader = dict(dataset=dict(
    _delete_=True, type='mim_plugins.Places', data_root='data/places205',
    data_prefix='data/vision/torralba/deeplearning/images256',
    ann_file='trainvalsplit_places205/train_places205.csv', pipeline=_base_.train_dataloader.dataset.pipeline))
val_dataloader = dict(dataset=dict(
    _delete_=True, type='mim_plugins.Places', data_root='data/places205',
    data_prefix='data/vision/torralba/deeplearning/images256',
    ann_file='trainvalsplit_places205/val_places205.csv', pipeline=_base_.val_dataloader.dataset.pipeline))
test_dataloader = val_dataloader
data_preprocessor = dict(num_classes=205)
