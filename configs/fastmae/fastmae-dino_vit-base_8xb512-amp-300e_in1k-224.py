"""FastMAE, ViT-B/16 on ImageNet-1K at 224 px for 300 epochs, from stored features of DINO-B.

Paper:   FastMAE (Computational Visual Media, 2025)
Command: tools/dist_train.sh configs/fastmae/fastmae-dino_vit-base_8xb512-amp-300e_in1k-224.py 8
Before:  torchrun --nproc_per_node=8 tools/extract_targets.py, with the same config and --dtype int8
Batch:   8 GPUs x 512 = 4096; lr = 1.5e-4 x 4096 / 256 = 0.0024
Result:  not reproduced by us
Inferred: warmup, betas, decoder width, the loss and its weights, a middle image of 256 px; the paper does not say
"""
_base_ = [
    '../_base_/teachers/dino_vit-base.py',
    '../_base_/models/fastmae_vit-base.py',
    '../_base_/datasets/unlabelled_224_grid.py',
    '../_base_/schedules/mae_bs4096_300e.py',
    '../_base_/default_runtime.py',
]

train_dataloader = dict(dataset=dict(pipeline=[
    dict(type='mim_plugins.LoadRGBImage'),
    dict(type='mim_plugins.GridAlignedCrop', scale=224, patch=16, middle_size=256),
    dict(type='mim_plugins.LoadOfflineTarget', store='data/features/dino_vit-base', image_root='data/imagenet/train'),
    dict(type='mim_plugins.PackInputs'),
]))
