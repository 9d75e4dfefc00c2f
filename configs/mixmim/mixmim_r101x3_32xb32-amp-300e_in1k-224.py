"""MixMIM, R101x3 on ImageNet-1K at 224 px for 300 epochs.

Paper:   MixMIM: Mixed and Masked Image Modeling for Efficient Visual Representation Learning
         (arXiv 2205.13137)
Command: NNODES=4 tools/dist_train.sh configs/mixmim/mixmim_r101x3_32xb32-amp-300e_in1k-224.py 8
Batch:   32 GPUs x 32 = 1024; lr = 1.5e-4 x 1024 / 256 = 0.0006
Result:  see the paper; not reproduced by us
Differs: the epochs for this encoder are inferred from the 300 of the ablations
"""
_base_ = ['mixmim_r50x3_32xb32-amp-300e_in1k-224.py']

model = dict(backbone=dict(model_name='resnetv2_101x3_bit'))
