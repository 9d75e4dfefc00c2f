"""SimMIM on the demo data with a small BEiT-style ViT.

Paper:   SimMIM: A Simple Framework for Masked Image Modeling (arXiv 2111.09886)
Command: python tools/train.py configs/demo/simmim_vit-micro_bs64_demo-32.py
Batch:   1 process x 64
Result:  an example of the wiring, about a minute on two cores; not tuned
"""
_base_ = [
    '../_base_/models/simmim_vit-base.py',
    '../_base_/datasets/demo_32.py',
    '../_base_/schedules/demo_3e.py',
    '../_base_/demo_runtime.py',
]

model = dict(
    input_size=32,
    data_preprocessor=dict(mask=dict(unit=8)),
    backbone=dict(
        patch_size=8,
        arch=dict(_delete_=True, embed_dims=128, num_layers=4, num_heads=4, feedforward_channels=512)),
    neck=dict(in_channels=128, stride=8))
