"""MixMIM, MixMIM-H on ImageNet-1K at 224 px for 600 epochs.

Paper:   MixMIM: Mixed and Masked Image Modeling for Efficient Visual Representation Learning
         (arXiv 2205.13137)
Command: NNODES=4 tools/dist_train.sh configs/mixmim/mixmim_mixmim-huge_32xb32-amp-600e_in1k-224.py 8
Batch:   32 GPUs x 32 = 1024; lr = 1.5e-4 x 1024 / 256 = 0.0006
Result:  see the paper; not reproduced by us
"""
_base_ = ['mixmim_mixmim-base_8xb128-amp-600e_in1k-224.py']

model = dict(backbone=dict(arch='huge'), neck=dict(in_channels=2816))
train_dataloader = dict(batch_size=32)
