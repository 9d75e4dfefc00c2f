"""PixMIM, ViT-B/16 under a linear classifier on ImageNet-1K at 224 px for 90 epochs.

Paper:   PixMIM: Rethinking Pixel Reconstruction in Masked Image Modeling (arXiv 2303.02416)
Command: tools/dist_train.sh configs/pixmim/benchmarks/pixmim_vit-base_linear_8xb2048-amp-90e_in1k-224.py 8
Batch:   8 GPUs x 2048 = 16384; lr = 0.1 x 16384 / 256 = 6.4
Result:  67.5 % top-1 (released); not reproduced by us
"""
_base_ = [
    '../../_base_/models/linear_vit-base.py',
    '../../_base_/datasets/imagenet_224_linear.py',
    '../../_base_/schedules/linear_bs16384_90e.py',
    '../../_base_/classification_runtime.py',
]

default_hooks = dict(encoder=dict(checkpoint='work_dirs/pixmim_vit-base_8xb512-amp-800e_in1k-224/epoch_800.pth'))
