"""FastMIM-P on the demo data: a small Swin at 32, 48 and 64 px, one epoch each.

Paper:   FastMIM: Expediting Masked Image Modeling Pre-training for Vision (arXiv 2212.06593)
Command: python tools/train.py configs/demo/fastmim-p_swin-micro_bs64_demo-32-64.py
Batch:   1 process x 64
Result:  an example of the wiring, about a minute on two cores; not tuned
"""
_base_ = [
    '../_base_/models/fastmim_swin-base.py',
    '../_base_/datasets/demo_32.py',
    '../_base_/schedules/demo_3e.py',
    '../_base_/demo_runtime.py',
]

model = dict(
    input_size=32,
    data_preprocessor=dict(mask=dict(unit=16)),
    target_generator=dict(cell=4, normalize=False),
    backbone=dict(
        patch_size=2, window_stride=16, table_window=4,
        arch=dict(_delete_=True, embed_dims=32, depths=[1, 1, 2, 1], num_heads=[1, 2, 4, 8])),
    neck=dict(in_channels=256, stride=16, embed_dims=128, depth=1))
train_dataloader = dict(dataset=dict(indices=4096))
default_hooks = dict(progressive=dict(
    type='mim_plugins.ProgressiveResolutionHook',
    stages=[dict(epochs=1, size=32), dict(epochs=1, size=48), dict(epochs=1, size=64)]))
