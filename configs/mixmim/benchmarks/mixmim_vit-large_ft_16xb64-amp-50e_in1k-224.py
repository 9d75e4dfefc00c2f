"""MixMIM, ViT-L/16 fine-tuned on ImageNet-1K at 224 px for 50 epochs.

Paper:   MixMIM: Mixed and Masked Image Modeling for Efficient Visual Representation Learning
         (arXiv 2205.13137)
Command: NNODES=2 tools/dist_train.sh configs/mixmim/benchmarks/mixmim_vit-large_ft_16xb64-amp-50e_in1k-224.py 8
Batch:   16 GPUs x 64 = 1024; lr = 0.0005 x 1024 / 256 = 0.002
Result:  see the paper; not reproduced by us
Differs: layer decay and drop path are those of MixMIM-L (inferred)
"""
_base_ = [
    '../../_base_/models/classifier_vit-large.py',
    '../../_base_/datasets/imagenet_224_finetune.py',
    '../../_base_/schedules/finetune_bs1024_50e.py',
    '../../_base_/classification_runtime.py',
]

optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=0.7))
train_dataloader = dict(batch_size=64)
default_hooks = dict(encoder=dict(checkpoint='work_dirs/mixmim_vit-large_16xb64-amp-300e_in1k-224/epoch_300.pth'))
