"""FastMIM, ViT-L/16 on ImageNet-1K at 128 px for 800 epochs.

Paper:   FastMIM: Expediting Masked Image Modeling Pre-training for Vision (arXiv 2212.06593)
Command: tools/dist_train.sh configs/fastmim/fastmim_vit-large_8xb256-amp-800e_in1k-128.py 8
Batch:   8 GPUs x 256 = 2048; lr = 1.5e-4 x 2048 / 256 = 0.0012
Result:  not reproduced by us
"""
_base_ = [
    '../_base_/models/fastmim_vit-base.py',
    '../_base_/datasets/unlabelled_128_bicubic.py',
    '../_base_/schedules/fastmim_bs2048_800e.py',
    '../_base_/default_runtime.py',
]

model = dict(
    backbone=dict(arch='large'),
    neck=dict(in_channels=1024, embed_dims=512, depth=8))
