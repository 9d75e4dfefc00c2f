"""MAE, ViT-L/16 fine-tuned on ImageNet-1K at 224 px for 50 epochs.

Paper:   Masked Autoencoders Are Scalable Vision Learners (arXiv 2111.06377)
Command: NNODES=2 tools/dist_train.sh configs/mae/benchmarks/mae_vit-large_ft_16xb64-amp-50e_in1k-224.py 8
Batch:   16 GPUs x 64 = 1024; lr = 0.001 x 1024 / 256 = 0.004
Result:  paper 85.9 % top-1; not reproduced by us
"""
_base_ = [
    '../../_base_/models/classifier_vit-large.py',
    '../../_base_/datasets/imagenet_224_finetune.py',
    '../../_base_/schedules/finetune_bs1024_50e.py',
    '../../_base_/classification_runtime.py',
]

optim_wrapper = dict(optimizer=dict(lr=1e-3 * 1024 / 256), paramwise_cfg=dict(layer_decay_rate=0.75))
train_dataloader = dict(batch_size=64)
default_hooks = dict(encoder=dict(checkpoint='work_dirs/mae_vit-large_8xb512-amp-1600e_in1k-224/epoch_1600.pth'))
