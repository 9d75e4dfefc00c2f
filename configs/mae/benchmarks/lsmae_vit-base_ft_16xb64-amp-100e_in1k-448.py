"""LSMAE, ViT-B/16 fine-tuned on ImageNet-1K at 448 px for 100 epochs.

Paper:   Exploring Long-Sequence Masked Autoencoders (arXiv 2210.07224)
Command: NNODES=2 tools/dist_train.sh configs/mae/benchmarks/lsmae_vit-base_ft_16xb64-amp-100e_in1k-448.py 8
Batch:   16 GPUs x 64 = 1024; lr = 0.0005 x 1024 / 256 = 0.002
Result:  see the paper; not reproduced by us
Differs: all but the size is MAE's (inferred)
"""
_base_ = [
    '../../_base_/models/classifier_vit-base.py',
    '../../_base_/datasets/imagenet_448_finetune.py',
    '../../_base_/schedules/finetune_bs1024_100e.py',
    '../../_base_/classification_runtime.py',
]

model = dict(backbone=dict(img_size=448))
train_dataloader = dict(batch_size=64)
default_hooks = dict(encoder=dict(checkpoint='work_dirs/lsmae_vit-base_32xb128-amp-800e_in1k-448/epoch_800.pth'))
