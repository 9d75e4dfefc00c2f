"""FastMAE with the teacher beside the training, for comparison: the same target, no store.

Paper:   FastMAE (Computational Visual Media, 2025)
Command: tools/dist_train.sh configs/fastmae/fastmae-online_vit-base_8xb512-amp-60e_in1k-224.py 8
Batch:   8 GPUs x 512 = 4096; lr = 1.5e-4 x 4096 / 256 = 0.0024
Result:  not reproduced by us
Inferred: warmup, betas, decoder width, the loss and its weights, a middle image of 256 px; the paper does not say
"""
_base_ = [
    '../_base_/teachers/mae_vit-base.py',
    '../_base_/models/fastmae_vit-base.py',
    '../_base_/datasets/unlabelled_224_grid.py',
    '../_base_/schedules/mae_bs4096_60e.py',
    '../_base_/default_runtime.py',
]

model = dict(target_generator={{_base_.teacher}})  # its norm stays
train_dataloader = dict(dataset=dict(pipeline=[
    dict(type='mim_plugins.LoadRGBImage'),
    dict(type='mim_plugins.GridAlignedCrop', scale=224, patch=16, middle_size=256, keep_middle=True),
    dict(type='mim_plugins.PackInputs'),
]))
