"""MixMIM, PVTv1-L fine-tuned on ImageNet-1K at 224 px for 50 epochs.

Paper:   MixMIM: Mixed and Masked Image Modeling for Efficient Visual Representation Learning
         (arXiv 2205.13137)
Command: tools/dist_train.sh configs/mixmim/benchmarks/mixmim_pvt-large_ft_8xb128-amp-50e_in1k-224.py 8
Batch:   8 GPUs x 128 = 1024; lr = 0.0005 x 1024 / 256 = 0.002
Result:  see the paper; not reproduced by us
Differs: layer decay and drop path are those of MixMIM-L (inferred)
"""
_base_ = [
    '../../_base_/models/classifier_pvt-large.py',
    '../../_base_/datasets/imagenet_224_finetune.py',
    '../../_base_/schedules/finetune_bs1024_50e.py',
    '../../_base_/classification_runtime.py',
]

model = dict(backbone=dict(drop_path_rate=0.2))
optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=0.7))
default_hooks = dict(encoder=dict(checkpoint='work_dirs/mixmim_pvt-large_8xb128-amp-300e_in1k-224/epoch_300.pth'))
