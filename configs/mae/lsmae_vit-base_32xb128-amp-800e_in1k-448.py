"""LSMAE, ViT-B/16 on ImageNet-1K at 448 px for 800 epochs.

Paper:   Exploring Long-Sequence Masked Autoencoders (arXiv 2210.07224)
Command: NNODES=4 tools/dist_train.sh configs/mae/lsmae_vit-base_32xb128-amp-800e_in1k-448.py 8
Batch:   32 GPUs x 128 = 4096; lr = 1.5e-4 x 4096 / 256 = 0.0024
Result:  see the paper; not reproduced by us
"""
_base_ = [
    '../_base_/models/lsmae_vit-base.py',
    '../_base_/datasets/unlabelled_224_bicubic.py',
    '../_base_/schedules/mae_bs4096_800e.py',
    '../_base_/default_runtime.py',
]

train_dataloader = dict(
    batch_size=128,
    dataset=dict(pipeline=[
        dict(type='mim_plugins.LoadRGBImage'),
        dict(type='mim_plugins.RandomResizedCrop', scale=448, crop_ratio_range=(0.2, 1.0), backend='pillow',
             interpolation='bicubic'),
        dict(type='RandomFlip', prob=0.5),
        dict(type='PackInputs'),
    ]))
