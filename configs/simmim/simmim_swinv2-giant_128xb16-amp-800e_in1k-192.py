"""SimMIM, SwinV2-G on ImageNet-1K at 192 px for 800 epochs, optimizer state sharded.

Paper:   SimMIM: A Simple Framework for Masked Image Modeling (arXiv 2111.09886)
Command: NNODES=16 tools/dist_train.sh configs/simmim/simmim_swinv2-giant_128xb16-amp-800e_in1k-192.py 8
Batch:   128 GPUs x 16 = 2048; lr = 5e-5 x 2048 / 256 = 0.0004
Result:  the paper trained on 70 M images, not published; not reproduced by us
Differs: the schedule is that of the Swin scaling recipes; the data are ImageNet-1K
"""
_base_ = [
    '../_base_/models/simmim_swin-base.py',
    '../_base_/datasets/unlabelled_192_bilinear.py',
    '../_base_/schedules/simmim_bs2048_800e_step.py',
    '../_base_/default_runtime.py',
]

model = dict(
    backbone=dict(_delete_=True, type='mim_plugins.ResizableSwinV2', arch='giant', window_stride=16,
                  out_indices=(3, ), drop_path_rate=0.0, with_cp=True),
    neck=dict(in_channels=4096))
train_dataloader = dict(batch_size=16)
# Each process keeps the optimizer's state of its share of the parameters.
optim_wrapper = dict(
    optimizer=dict(type='mim_plugins.ShardedOptimizer', optimizer_type='AdamW'),
    paramwise_cfg=dict(custom_keys=dict(cpb_mlp=dict(decay_mult=0.0), logit_scale=dict(decay_mult=0.0))))
