"""FastMIM on the demo data: a small ViT that learns on two CPU cores in minutes.

Command: python tools/train.py configs/demo/fastmim_vit-micro_bs128_demo-32.py
Batch:   1 x 128
"""
_base_ = ['../fastmim/fastmim_vit-base_8xb256-amp-800e_in1k-128.py']

size = 32
model = dict(
    input_size=size,
    data_preprocessor=dict(mask=dict(unit=8, ratio=0.6)),
    target_generator=dict(cell=4),
    backbone=dict(
        patch_size=8,
        arch=dict(_delete_=True, embed_dims=128, num_layers=4, num_heads=4, feedforward_channels=512)),
    neck=dict(in_channels=128, stride=8, embed_dims=128, num_heads=4))
train_dataloader = dict(
    batch_size=128,
    num_workers=1,
    dataset=dict(
        data_root='data/demo/pretrain',
        pipeline=[
            dict(type='mim_plugins.LoadRGBImage'),
            dict(type='RandomResizedCrop', scale=size, crop_ratio_range=(0.5, 1.0), backend='pillow',
                 interpolation='bicubic'),
            dict(type='PackInputs'),
        ]))
optim_wrapper = dict(optimizer=dict(lr=1.5e-3))
auto_scale_lr = dict(base_batch_size=128)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-2, by_epoch=True, end=1, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', by_epoch=True, begin=1, end=15, T_max=14, convert_to_iter_based=True),
]
train_cfg = dict(max_epochs=15)
