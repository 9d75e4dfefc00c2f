# iNaturalist 2019 in its own JSON files, 1010 species; augmented as ImageNet-1K for fine-tuning.
_base_ = 'imagenet_224_finetune.py'

train_dataloader = dict(dataset=dict(
    _delete_=True, type='mim_plugins.INaturalist', data_root='data/inat2019',
    ann_file='train2019.json', pipeline=_base_.train_dataloader.dataset.pipeline))
val_dataloader = dict(dataset=dict(
    _delete_=True, type='mim_plugins.INaturalist', data_root='data/inat2019',
    ann_file='val2019.json', pipeline=_base_.val_dataloader.dataset.pipeline))
test_dataloader = val_dataloader
data_preprocessor = dict(num_classes=1010)
