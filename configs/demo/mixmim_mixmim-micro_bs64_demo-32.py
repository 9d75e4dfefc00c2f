"""MixMIM on the demo data with a small MixMIM encoder of two stages.

Paper:   MixMIM: Mixed and Masked Image Modeling for Efficient Visual Representation Learning
         (arXiv 2205.13137)
Command: python tools/train.py configs/demo/mixmim_mixmim-micro_bs64_demo-32.py
Batch:   1 process x 64
Result:  an example of the wiring, about a minute on two cores; not tuned (probe 16.8, random encoder 12.6, one run)
"""
_base_ = [
    '../_base_/models/mixmim_base.py',
    '../_base_/datasets/demo_32.py',
    '../_base_/schedules/demo_3e.py',
    '../_base_/demo_runtime.py',
]

model = dict(
    input_size=32,
    data_preprocessor=dict(mask=dict(unit=8)),
    target_generator=dict(norm_patch=None),  # pixels as they are teach more on these pictures
    backbone=dict(
        window_stride=4, arch=dict(_delete_=True, embed_dims=64, depths=[2, 2], num_heads=[2, 4])),
    neck=dict(in_channels=128, stride=8, embed_dims=64, depth=2, num_heads=2))
