"""MixMIM, MixMIM-H fine-tuned on ImageNet-1K at 224 px for 50 epochs.

Paper:   MixMIM: Mixed and Masked Image Modeling for Efficient Visual Representation Learning
         (arXiv 2205.13137)
Command: NNODES=4 tools/dist_train.sh configs/mixmim/benchmarks/mixmim_mixmim-huge_ft_32xb32-amp-50e_in1k-224.py 8
Batch:   32 GPUs x 32 = 1024; lr = 0.0005 x 1024 / 256 = 0.002
Result:  see the paper; not reproduced by us
"""
_base_ = [
    '../../_base_/models/classifier_mixmim-base.py',
    '../../_base_/datasets/imagenet_224_finetune.py',
    '../../_base_/schedules/finetune_bs1024_50e.py',
    '../../_base_/classification_runtime.py',
]

model = dict(backbone=dict(arch='huge', drop_path_rate=0.3), head=dict(in_channels=2816))
optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=0.7))
train_dataloader = dict(batch_size=32)
default_hooks = dict(encoder=dict(checkpoint='work_dirs/mixmim_mixmim-huge_32xb32-amp-600e_in1k-224/epoch_600.pth'))
