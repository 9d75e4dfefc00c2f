"""MFF, ViT-B/16 on ImageNet-1K at 224 px for 300 epochs.

Paper:   Improving Pixel-based MIM by Reducing Wasted Modeling Capability (arXiv 2308.00261)
Command: tools/dist_train.sh configs/mae/mff_vit-base_8xb512-amp-300e_in1k-224.py 8
Batch:   8 GPUs x 512 = 4096; lr = 1.5e-4 x 4096 / 256 = 0.0024
Result:  83.0 fine-tuned, 64.2 linear (mmpretrain); not reproduced by us
Differs: random resized crops, to compare with PixMIM; MFF itself already crops as PixMIM does
"""
_base_ = [
    '../_base_/models/mff_vit-base.py',
    '../_base_/datasets/unlabelled_224_bicubic.py',
    '../_base_/schedules/mae_bs4096_300e.py',
    '../_base_/default_runtime.py',
]
