"""FastMIM, ViT-B/16 on ImageNet-1K at 128 px, with stored features of MAE-B as target.

Paper:   FastMIM (arXiv 2212.06593) with the target of FastMAE (Computational Visual Media, 2025)
Command: tools/dist_train.sh configs/fastmae/fastmim-offline_vit-base_8xb256-amp-800e_in1k-128.py 8
Before:  torchrun --nproc_per_node=8 tools/extract_targets.py, with the same config and --dtype int8
Batch:   8 GPUs x 256 = 2048; lr = 1.5e-4 x 2048 / 256 = 0.0012
Result:  not reproduced by us
Inferred: all of the combination, which is in neither paper
"""
_base_ = [
    '../_base_/teachers/mae_vit-base.py',
    '../_base_/models/fastmim_vit-base.py',
    '../_base_/datasets/unlabelled_128_bicubic.py',
    '../_base_/schedules/fastmim_bs2048_800e.py',
    '../_base_/default_runtime.py',
]

model = dict(target_generator=dict(_delete_=True, type='mim_plugins.OfflineTarget', channels=768))
train_dataloader = dict(dataset=dict(pipeline=[
    dict(type='mim_plugins.LoadRGBImage'),
    dict(type='mim_plugins.GridAlignedCrop', scale=128, patch=16, middle_size=256),
    dict(type='mim_plugins.LoadOfflineTarget', store='data/features/mae_vit-base', image_root='data/imagenet/train'),
    dict(type='mim_plugins.PackInputs'),
]))
