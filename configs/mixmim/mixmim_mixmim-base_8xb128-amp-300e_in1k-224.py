"""MixMIM, MixMIM-B on ImageNet-1K at 224 px for 300 epochs.

Paper:   MixMIM: Mixed and Masked Image Modeling for Efficient Visual Representation Learning
         (arXiv 2205.13137)
Command: tools/dist_train.sh configs/mixmim/mixmim_mixmim-base_8xb128-amp-300e_in1k-224.py 8
Batch:   8 GPUs x 128 = 1024; lr = 1.5e-4 x 1024 / 256 = 0.0006
Result:  84.6 fine-tuned (mmpretrain, at batch 2048); not reproduced by us
"""
_base_ = [
    '../_base_/models/mixmim_base.py',
    '../_base_/datasets/unlabelled_224_pairs.py',
    '../_base_/schedules/mixmim_bs1024_300e.py',
    '../_base_/default_runtime.py',
]
