"""MixMIM, MixMIM-B on ImageNet-1K at 224 px, with stored features of MAE-B as target.

Paper:   MixMIM (arXiv 2205.13137) with the target of FastMAE (Computational Visual Media, 2025)
Command: tools/dist_train.sh configs/fastmae/mixmim-offline_mixmim-base_8xb128-amp-300e_in1k-224.py 8
Before:  torchrun --nproc_per_node=8 tools/extract_targets.py, with the same config and --dtype int8
Batch:   8 GPUs x 128 = 1024; lr = 1.5e-4 x 1024 / 256 = 0.0006
Result:  not reproduced by us
Inferred: all of the combination, which is in neither paper
"""
_base_ = [
    '../_base_/teachers/mae_vit-base.py',
    '../_base_/models/mixmim_base.py',
    '../_base_/datasets/unlabelled_224_pairs.py',
    '../_base_/schedules/mixmim_bs1024_300e.py',
    '../_base_/default_runtime.py',
]

model = dict(target_generator=dict(_delete_=True, type='mim_plugins.OfflineTarget', channels=768))
train_dataloader = dict(dataset=dict(pipeline=[
    dict(type='mim_plugins.LoadRGBImage'),
    dict(type='mim_plugins.GridAlignedCrop', scale=224, patch=16, middle_size=256),
    dict(type='mim_plugins.LoadOfflineTarget', store='data/features/mae_vit-base', image_root='data/imagenet/train'),
    dict(type='mim_plugins.PackInputs'),
]))
