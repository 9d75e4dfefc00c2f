"""SimMIM, Swin-B on ImageNet-1K at 192 px, with stored features of MAE-B as target.

Paper:   SimMIM (arXiv 2111.09886) with the target of FastMAE (Computational Visual Media, 2025)
Command: tools/dist_train.sh configs/fastmae/simmim-offline_swin-base_16xb128-amp-100e_in1k-192.py 16
Before:  torchrun --nproc_per_node=16 tools/extract_targets.py, with the same config and --dtype int8
Batch:   16 GPUs x 128 = 2048; lr = 1e-4 x 2048 / 256 = 0.0008
Result:  not reproduced by us
Inferred: all of the combination, which is in neither paper
"""
_base_ = [
    '../_base_/teachers/mae_vit-base.py',
    '../_base_/models/simmim_swin-base.py',
    '../_base_/datasets/unlabelled_192_bilinear.py',
    '../_base_/schedules/simmim_bs2048_100e.py',
    '../_base_/default_runtime.py',
]

model = dict(target_generator=dict(_delete_=True, type='mim_plugins.OfflineTarget', channels=768))
train_dataloader = dict(dataset=dict(pipeline=[
    dict(type='mim_plugins.LoadRGBImage'),
    dict(type='mim_plugins.GridAlignedCrop', scale=192, patch=16, middle_size=256),
    dict(type='mim_plugins.LoadOfflineTarget', store='data/features/mae_vit-base', image_root='data/imagenet/train'),
    dict(type='mim_plugins.PackInputs'),
]))
