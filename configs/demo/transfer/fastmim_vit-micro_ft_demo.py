"""A classifier of the demo data's digits, fine-tuned from the encoder of the quick start.

Paper:   FastMIM: Expediting Masked Image Modeling Pre-training for Vision (arXiv 2212.06593)
Command: python tools/train.py configs/demo/transfer/fastmim_vit-micro_ft_demo.py
Batch:   1 process x 32; lr 1e-3
Result:  77.0 % top-1, from random weights 10.1 % (one run each); it shows what an own folder, an own
         encoder and another size change in a recipe
"""
_base_ = '../../fastmim/benchmarks/fastmim_vit-base_ft_8xb128-amp-100e_in1k-224.py'

size = 32
model = dict(
    backbone=dict(
        arch=dict(_delete_=True, embed_dims=128, num_layers=4, num_heads=4, feedforward_channels=512),
        img_size=size,
        patch_size=8,
        drop_path_rate=0.0),
    head=dict(in_channels=128, num_classes=10),
    train_cfg=dict(augments=None))
data_preprocessor = dict(num_classes=10)
dataset = dict(
    _delete_=True, type='CustomDataset', data_root='data/demo/classification', pipeline=[
        dict(type='mim_plugins.LoadRGBImage'), dict(type='Resize', scale=(size, size)), dict(type='PackInputs')])
loader = dict(batch_size=32, num_workers=0, persistent_workers=False)
train_dataloader = dict(**loader, dataset=dict(**dataset, data_prefix='train'))
val_dataloader = dict(**loader, dataset=dict(**dataset, data_prefix='val'))
test_dataloader = val_dataloader
epochs = 6
optim_wrapper = dict(optimizer=dict(lr=1e-3), paramwise_cfg=dict(layer_decay_rate=0.8))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-2, by_epoch=True, begin=0, end=1, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', by_epoch=True, begin=1, end=epochs, T_max=epochs - 1, convert_to_iter_based=True),
]
train_cfg = dict(max_epochs=epochs, val_interval=2)
auto_scale_lr = dict(base_batch_size=32)
default_hooks = dict(encoder=dict(checkpoint='work_dirs/quickstart/epoch_7.pth'))
