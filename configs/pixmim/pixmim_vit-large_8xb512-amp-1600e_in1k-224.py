"""PixMIM on MAE, ViT-L/16 on ImageNet-1K at 224 px for 1600 epochs.

Paper:   PixMIM: Rethinking Pixel Reconstruction in Masked Image Modeling (arXiv 2303.02416)
Command: tools/dist_train.sh configs/pixmim/pixmim_vit-large_8xb512-amp-1600e_in1k-224.py 8
Batch:   8 GPUs x 512 = 4096; lr = 1.5e-4 x 4096 / 256 = 0.0024
Result:  see the paper; not reproduced by us
"""
_base_ = [
    '../_base_/models/pixmim_vit-base.py',
    '../_base_/datasets/unlabelled_224_src.py',
    '../_base_/schedules/mae_bs4096_1600e.py',
    '../_base_/default_runtime.py',
]

model = dict(backbone=dict(arch='large'), neck=dict(in_channels=1024))
