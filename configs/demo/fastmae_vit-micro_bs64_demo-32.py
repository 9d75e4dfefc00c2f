"""FastMAE on the demo data: a small ViT learns the features of the quickstart's FastMIM encoder, read from a store.

Paper:   FastMAE (Computational Visual Media, 2025)
Command: python tools/train.py configs/demo/fastmae_vit-micro_bs64_demo-32.py
Before:  bash tools/quickstart.sh makes the teacher; then python tools/extract_targets.py with this config
Batch:   1 process x 64
Result:  see docs/offline_targets.md
"""
_base_ = [
    '../_base_/models/fastmae_vit-base.py',
    '../_base_/datasets/demo_32.py',
    '../_base_/schedules/demo_3e.py',
    '../_base_/demo_runtime.py',
]

arch = dict(embed_dims=128, num_layers=4, num_heads=4, feedforward_channels=512)
images = 'data/demo/pretrain'
teacher = dict(
    type='mim_plugins.TeacherTarget', channels=128, cell=8, checkpoint='work_dirs/quickstart/epoch_7.pth',
    teacher=dict(
        type='mim_plugins.SinCosVisionTransformer', arch=arch, patch_size=8, img_size=48, out_type='raw'))
model = dict(
    input_size=32,
    data_preprocessor=dict(mask=dict(unit=8, ratio=0.5)),
    target_generator=dict(channels=128, cell=8),
    backbone=dict(patch_size=8, arch=dict(_delete_=True, **arch)),
    neck=dict(in_channels=128, stride=8, embed_dims=64, num_heads=2))
train_dataloader = dict(dataset=dict(data_root=images, pipeline=[
    dict(type='mim_plugins.LoadRGBImage'),
    dict(type='mim_plugins.GridAlignedCrop', scale=32, patch=8, middle_size=48),
    dict(type='mim_plugins.LoadOfflineTarget', store='data/demo/features', image_root=images),
    dict(type='mim_plugins.PackInputs'),
]))
