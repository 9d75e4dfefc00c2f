"""SimMIM on the demo data with a small Swin: patches of 2 px, last map 2 x 2.

Paper:   SimMIM: A Simple Framework for Masked Image Modeling (arXiv 2111.09886)
Command: python tools/train.py configs/demo/simmim_swin-micro_bs64_demo-32.py
Batch:   1 process x 64
Result:  an example of the wiring, about a minute on two cores; not tuned
"""
_base_ = [
    '../_base_/models/simmim_swin-base.py',
    '../_base_/datasets/demo_32.py',
    '../_base_/schedules/demo_3e.py',
    '../_base_/demo_runtime.py',
]

model = dict(
    input_size=32,
    data_preprocessor=dict(mask=dict(unit=8)),
    backbone=dict(
        patch_size=2, window_stride=16,
        arch=dict(_delete_=True, embed_dims=32, depths=[1, 1, 2, 1], num_heads=[1, 2, 4, 8])),
    neck=dict(in_channels=256, stride=16))
