"""FastMIM, Swin-L on ImageNet-1K at 128 px for 400 epochs.

Paper:   FastMIM: Expediting Masked Image Modeling Pre-training for Vision (arXiv 2212.06593)
Command: tools/dist_train.sh configs/fastmim/fastmim_swin-large_8xb256-amp-400e_in1k-128.py 8
Batch:   8 GPUs x 256 = 2048; lr = 1.5e-4 x 2048 / 256 = 0.0012
Result:  not reproduced by us
Differs: the step of the learning rate at 7/8 of the epochs is inferred: the paper says 'step' only
"""
_base_ = [
    '../_base_/models/fastmim_swin-base.py',
    '../_base_/datasets/unlabelled_128_bicubic.py',
    '../_base_/schedules/fastmim_bs2048_400e_step.py',
    '../_base_/default_runtime.py',
]

model = dict(
    backbone=dict(arch='large', window_stride=16),
    neck=dict(in_channels=1536, embed_dims=512))
