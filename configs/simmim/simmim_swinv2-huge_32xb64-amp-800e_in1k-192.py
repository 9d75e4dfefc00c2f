"""SimMIM, SwinV2-H on ImageNet-1K at 192 px for 800 epochs, optimizer state sharded.

Paper:   SimMIM: A Simple Framework for Masked Image Modeling (arXiv 2111.09886)
Command: NNODES=4 tools/dist_train.sh configs/simmim/simmim_swinv2-huge_32xb64-amp-800e_in1k-192.py 8
Batch:   32 GPUs x 64 = 2048; lr = 5e-5 x 2048 / 256 = 0.0004
Result:  paper 85.7 % top-1 after fine-tuning at 224 px; not reproduced by us
Differs: the schedule is that of the Swin scaling recipes; windows of 12 are inferred; cpb_mlp and logit_scale
         are not decayed, as SwinV2's code means
"""
_base_ = [
    '../_base_/models/simmim_swin-base.py',
    '../_base_/datasets/unlabelled_192_bilinear.py',
    '../_base_/schedules/simmim_bs2048_800e_step.py',
    '../_base_/default_runtime.py',
]

model = dict(
    backbone=dict(_delete_=True, type='mim_plugins.ResizableSwinV2', arch='huge', window_stride=16,
                  out_indices=(3, ), drop_path_rate=0.0, with_cp=True),
    neck=dict(in_channels=2816))
train_dataloader = dict(batch_size=64)
# Each process keeps the optimizer's state of its share of the parameters.
optim_wrapper = dict(
    optimizer=dict(type='mim_plugins.ShardedOptimizer', optimizer_type='AdamW'),
    paramwise_cfg=dict(custom_keys=dict(cpb_mlp=dict(decay_mult=0.0), logit_scale=dict(decay_mult=0.0))))
