"""FastMIM on the demo data with a small Twins-SVT.

Paper:   FastMIM: Expediting Masked Image Modeling Pre-training for Vision (arXiv 2212.06593)
Command: python tools/train.py configs/demo/fastmim_twins-micro_bs64_demo-64.py
Batch:   1 process x 64
Result:  an example of the wiring, about a minute on two cores; not tuned
"""
_base_ = '../_base_/demo_fastmim_64.py'

model = dict(
    backbone=dict(
        type='mim_plugins.TwinsSVT', drop_path_rate=0.0, out_indices=(3, ), qkv_bias=True,
        norm_after_stage=[False, False, False, True],
        arch=dict(
            embed_dims=[32, 64, 96, 128], depths=[1, 1, 1, 1], num_heads=[1, 2, 3, 4], patch_sizes=[4, 2, 2, 2],
            strides=[4, 2, 2, 2], mlp_ratios=[4, 4, 4, 4], sr_ratios=[8, 4, 2, 1], window_sizes=[2, 2, 2, 2])),
    neck=dict(in_channels=128))
