"""SimMIM, SwinV2-G fine-tuned on ImageNet-1K at 640 px for 50 epochs.

Paper:   SimMIM: A Simple Framework for Masked Image Modeling (arXiv 2111.09886)
Command: NNODES=32 tools/dist_train.sh configs/simmim/benchmarks/simmim_swinv2-giant_ft_256xb8-amp-50e_in1k-640.py 8
Batch:   256 GPUs x 8 = 2048; lr = 0.000625 x 2048 / 256 = 0.005
Result:  the paper pre-trained on 70 M images, not published; not reproduced by us
Differs: epochs, layer decay and windows of 40 are inferred; the state of the optimizer is sharded
"""
_base_ = [
    '../../_base_/models/classifier_swinv2-huge.py',
    '../../_base_/datasets/imagenet_640_finetune.py',
    '../../_base_/schedules/finetune_bs2048_50e.py',
    '../../_base_/classification_runtime.py',
]

model = dict(backbone=dict(arch='giant', img_size=640), head=dict(in_channels=4096))
optim_wrapper = dict(
    optimizer=dict(type='mim_plugins.ShardedOptimizer', optimizer_type='AdamW'),
    paramwise_cfg=dict(layer_decay_rate=0.7))
train_dataloader = dict(batch_size=8)
default_hooks = dict(encoder=dict(checkpoint='work_dirs/simmim_swinv2-giant_128xb16-amp-800e_in1k-192/epoch_800.pth'))
