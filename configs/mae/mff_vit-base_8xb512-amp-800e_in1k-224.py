"""MFF, ViT-B/16 on ImageNet-1K at 224 px for 800 epochs.

Paper:   Improving Pixel-based MIM by Reducing Wasted Modeling Capability (arXiv 2308.00261)
Command: tools/dist_train.sh configs/mae/mff_vit-base_8xb512-amp-800e_in1k-224.py 8
Batch:   8 GPUs x 512 = 4096; lr = 1.5e-4 x 4096 / 256 = 0.0024
Result:  83.7 fine-tuned, 68.3 linear (mmpretrain); not reproduced by us
Differs: random resized crops, to compare with PixMIM; MFF itself already crops as PixMIM does
"""
_base_ = [
    '../_base_/models/mff_vit-base.py',
    '../_base_/datasets/unlabelled_224_bicubic.py',
    '../_base_/schedules/mae_bs4096_800e.py',
    '../_base_/default_runtime.py',
]
