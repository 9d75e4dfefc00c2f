"""SimMIM, SwinV2-H fine-tuned on ImageNet-1K at 512 px for 50 epochs.

Paper:   SimMIM: A Simple Framework for Masked Image Modeling (arXiv 2111.09886)
Command: NNODES=16 tools/dist_train.sh configs/simmim/benchmarks/simmim_swinv2-huge_ft_128xb16-amp-50e_in1k-512.py 8
Batch:   128 GPUs x 16 = 2048; lr = 0.000625 x 2048 / 256 = 0.005
Result:  paper 87.1 % top-1; not reproduced by us
Differs: windows of 32 are inferred
"""
_base_ = [
    '../../_base_/models/classifier_swinv2-huge.py',
    '../../_base_/datasets/imagenet_512_finetune.py',
    '../../_base_/schedules/finetune_bs2048_50e.py',
    '../../_base_/classification_runtime.py',
]

model = dict(backbone=dict(img_size=512))
optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=0.7))
train_dataloader = dict(batch_size=16)
default_hooks = dict(encoder=dict(checkpoint='work_dirs/simmim_swinv2-huge_32xb64-amp-800e_in1k-192/epoch_800.pth'))
