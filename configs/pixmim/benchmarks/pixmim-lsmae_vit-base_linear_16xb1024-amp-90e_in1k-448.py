"""PixMIM on LSMAE, ViT-B/16 under a linear classifier on ImageNet-1K at 448 px for 90 epochs.

Paper:   PixMIM: Rethinking Pixel Reconstruction in Masked Image Modeling (arXiv 2303.02416)
Command: NNODES=2 tools/dist_train.sh \
         configs/pixmim/benchmarks/pixmim-lsmae_vit-base_linear_16xb1024-amp-90e_in1k-448.py 8
Batch:   16 GPUs x 1024 = 16384; lr = 0.1 x 16384 / 256 = 6.4
Result:  see the paper; not reproduced by us
"""
_base_ = [
    '../../_base_/models/linear_vit-base.py',
    '../../_base_/datasets/imagenet_448_linear.py',
    '../../_base_/schedules/linear_bs16384_90e.py',
    '../../_base_/classification_runtime.py',
]

model = dict(backbone=dict(img_size=448))
default_hooks = dict(encoder=dict(checkpoint='work_dirs/pixmim-lsmae_vit-base_16xb128-amp-800e_in1k-448/epoch_800.pth'))
