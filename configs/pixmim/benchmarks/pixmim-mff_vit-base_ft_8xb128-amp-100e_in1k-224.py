"""PixMIM on MFF, ViT-B/16 fine-tuned on ImageNet-1K at 224 px for 100 epochs.

Paper:   PixMIM: Rethinking Pixel Reconstruction in Masked Image Modeling (arXiv 2303.02416)
Command: tools/dist_train.sh configs/pixmim/benchmarks/pixmim-mff_vit-base_ft_8xb128-amp-100e_in1k-224.py 8
Batch:   8 GPUs x 128 = 1024; lr = 0.001 x 1024 / 256 = 0.004
Result:  see the paper; not reproduced by us
"""
_base_ = [
    '../../_base_/models/classifier_vit-base.py',
    '../../_base_/datasets/imagenet_224_finetune.py',
    '../../_base_/schedules/finetune_bs1024_100e.py',
    '../../_base_/classification_runtime.py',
]

optim_wrapper = dict(optimizer=dict(lr=1e-3 * 1024 / 256), paramwise_cfg=dict(layer_decay_rate=0.75))
default_hooks = dict(encoder=dict(checkpoint='work_dirs/pixmim-mff_vit-base_8xb512-amp-800e_in1k-224/epoch_800.pth'))
