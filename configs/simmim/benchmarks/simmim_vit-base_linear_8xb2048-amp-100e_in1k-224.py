"""SimMIM, a layer of ViT-B/16 under a linear classifier on ImageNet-1K at 224 px for 100 epochs.

Paper:   SimMIM: A Simple Framework for Masked Image Modeling (arXiv 2111.09886)
Command: tools/dist_train.sh configs/simmim/benchmarks/simmim_vit-base_linear_8xb2048-amp-100e_in1k-224.py 8
Batch:   8 GPUs x 2048 = 16384; lr = 0.1 x 16384 / 256 = 6.4
Result:  see the paper; not reproduced by us
Differs: the paper takes the best layer: tools/sweep.py CONFIG --grid model.backbone.out_indices=5,6,7,8,9,10,11
         finds it; optimizer, batch and augmentation are MAE's (inferred)
"""
_base_ = [
    '../../_base_/models/linear_vit-base.py',
    '../../_base_/datasets/imagenet_224_linear.py',
    '../../_base_/schedules/linear_bs16384_90e.py',
    '../../_base_/classification_runtime.py',
]

model = dict(
    backbone=dict(
        _delete_=True, type='mim_plugins.ResizableBEiT', arch='base', img_size=224, patch_size=16,
        out_type='avg_featmap', use_rel_pos_bias=False, use_shared_rel_pos_bias=True, layer_scale_init_value=0.1,
        out_indices=[8]))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-4, by_epoch=True, begin=0, end=5, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', by_epoch=True, begin=5, end=100, T_max=95, convert_to_iter_based=True),
]
train_cfg = dict(max_epochs=100)
default_hooks = dict(encoder=dict(checkpoint='work_dirs/simmim_vit-base_16xb128-amp-800e_in1k-224/epoch_800.pth'))
