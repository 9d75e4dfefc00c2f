"""MixMIM, MixMIM-L on ImageNet-1K at 224 px for 600 epochs.

Paper:   MixMIM: Mixed and Masked Image Modeling for Efficient Visual Representation Learning
         (arXiv 2205.13137)
Command: NNODES=2 tools/dist_train.sh configs/mixmim/mixmim_mixmim-large_16xb64-amp-600e_in1k-224.py 8
Batch:   16 GPUs x 64 = 1024; lr = 1.5e-4 x 1024 / 256 = 0.0006
Result:  85.9 fine-tuned (released code); not reproduced by us
"""
_base_ = ['mixmim_mixmim-base_8xb128-amp-600e_in1k-224.py']

model = dict(backbone=dict(arch='large'), neck=dict(in_channels=1536))
train_dataloader = dict(batch_size=64)
