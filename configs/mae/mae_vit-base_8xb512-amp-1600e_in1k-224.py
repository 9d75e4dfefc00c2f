"""MAE, ViT-B/16 on ImageNet-1K at 224 px for 1600 epochs.

Paper:   Masked Autoencoders Are Scalable Vision Learners (arXiv 2111.06377)
Command: tools/dist_train.sh configs/mae/mae_vit-base_8xb512-amp-1600e_in1k-224.py 8
Batch:   8 GPUs x 512 = 4096; lr = 1.5e-4 x 4096 / 256 = 0.0024
Result:  83.6 fine-tuned (paper); not reproduced by us
"""
_base_ = [
    '../_base_/models/mae_vit-base.py',
    '../_base_/datasets/unlabelled_224_bicubic.py',
    '../_base_/schedules/mae_bs4096_1600e.py',
    '../_base_/default_runtime.py',
]
