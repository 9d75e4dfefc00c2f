"""PixMIM on LSMAE, ViT-B/16 fine-tuned on ImageNet-1K at 448 px for 100 epochs.

Paper:   PixMIM: Rethinking Pixel Reconstruction in Masked Image Modeling (arXiv 2303.02416)
Command: NNODES=2 tools/dist_train.sh configs/pixmim/benchmarks/pixmim-lsmae_vit-base_ft_16xb64-amp-100e_in1k-448.py 8
Batch:   16 GPUs x 64 = 1024; lr = 0.001 x 1024 / 256 = 0.004
Result:  see the paper; not reproduced by us
"""
_base_ = [
    '../../_base_/models/classifier_vit-base.py',
    '../../_base_/datasets/imagenet_448_finetune.py',
    '../../_base_/schedules/finetune_bs1024_100e.py',
    '../../_base_/classification_runtime.py',
]

model = dict(backbone=dict(img_size=448))
optim_wrapper = dict(optimizer=dict(lr=1e-3 * 1024 / 256), paramwise_cfg=dict(layer_decay_rate=0.75))
train_dataloader = dict(batch_size=64)
default_hooks = dict(encoder=dict(checkpoint='work_dirs/pixmim-lsmae_vit-base_16xb128-amp-800e_in1k-448/epoch_800.pth'))
