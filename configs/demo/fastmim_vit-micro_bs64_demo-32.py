"""FastMIM on the demo data: a small ViT that learns on two CPU cores in minutes.

Paper:   FastMIM: Expediting Masked Image Modeling Pre-training for Vision (arXiv 2212.06593)
Command: python tools/train.py configs/demo/fastmim_vit-micro_bs64_demo-32.py
Batch:   1 process x 64; lr 1.5e-3 found at this batch (128 with as many pictures learned less)
Result:  see docs/quick_start.md
Differs: HOG without the L2 norm. Normalised, a cell of faint background counts as much as a stroke of a
         digit, and a run of minutes learns the background first
"""
_base_ = ['../fastmim/fastmim_vit-base_8xb256-amp-800e_in1k-128.py']

size = 32
model = dict(
    input_size=size,
    data_preprocessor=dict(mask=dict(unit=8, ratio=0.5)),
    target_generator=dict(cell=4, normalize=False),
    backbone=dict(
        patch_size=8,
        arch=dict(_delete_=True, embed_dims=128, num_layers=4, num_heads=4, feedforward_channels=512)),
    neck=dict(in_channels=128, stride=8, embed_dims=128, num_heads=4))
train_dataloader = dict(
    batch_size=64,
    num_workers=0,  # on two cores a worker takes more from the training than it gives
    dataset=dict(
        data_root='data/demo/pretrain',
        pipeline=[
            dict(type='mim_plugins.LoadRGBImage'),
            dict(type='mim_plugins.RandomResizedCrop', scale=size, crop_ratio_range=(0.5, 1.0),
                 backend='pillow', interpolation='bicubic'),
            dict(type='PackInputs'),
        ]))
optim_wrapper = dict(optimizer=dict(lr=1.5e-3))
auto_scale_lr = dict(base_batch_size=64)
epochs = 7
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-2, by_epoch=True, begin=0, end=1, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', by_epoch=True, begin=1, end=epochs, T_max=epochs - 1, convert_to_iter_based=True),
]
train_cfg = dict(max_epochs=epochs)
default_hooks = dict(logger=dict(interval=20), checkpoint=dict(interval=1, max_keep_ckpts=2))
