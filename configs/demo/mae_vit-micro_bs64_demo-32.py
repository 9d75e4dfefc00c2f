"""MAE on the demo data with a small ViT.

Paper:   Masked Autoencoders Are Scalable Vision Learners (arXiv 2111.06377)
Command: python tools/train.py configs/demo/mae_vit-micro_bs64_demo-32.py
Batch:   1 process x 64
Result:  see benchmarks/pixmim.md
"""
_base_ = [
    '../_base_/models/mae_vit-base.py',
    '../_base_/datasets/demo_32.py',
    '../_base_/schedules/demo_3e.py',
    '../_base_/demo_runtime.py',
]

model = dict(
    input_size=32,
    data_preprocessor=dict(mask=dict(unit=4)),
    target_generator=dict(norm_patch=4),
    backbone=dict(
        patch_size=4,
        arch=dict(_delete_=True, embed_dims=128, num_layers=4, num_heads=4, feedforward_channels=512)),
    neck=dict(in_channels=128, stride=4, embed_dims=64, depth=2, num_heads=2))
