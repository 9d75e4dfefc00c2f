"""MixMIM, MixMIM-B under a linear classifier on ImageNet-1K at 224 px for 90 epochs.

Paper:   MixMIM: Mixed and Masked Image Modeling for Efficient Visual Representation Learning
         (arXiv 2205.13137)
Command: tools/dist_train.sh configs/mixmim/benchmarks/mixmim_mixmim-base_linear_8xb2048-amp-90e_in1k-224.py 8
Batch:   8 GPUs x 2048 = 16384; lr = 0.1 x 16384 / 256 = 6.4
Result:  paper gives none; not reproduced by us
Differs: the protocol is MAE's (inferred), on averaged features
"""
_base_ = [
    '../../_base_/models/linear_mixmim-base.py',
    '../../_base_/datasets/imagenet_224_linear.py',
    '../../_base_/schedules/linear_bs16384_90e.py',
    '../../_base_/classification_runtime.py',
]

default_hooks = dict(encoder=dict(checkpoint='work_dirs/mixmim_mixmim-base_8xb128-amp-600e_in1k-224/epoch_600.pth'))
