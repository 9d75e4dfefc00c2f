"""FastMIM on the demo data with a small CMT.

Paper:   FastMIM: Expediting Masked Image Modeling Pre-training for Vision (arXiv 2212.06593)
Command: python tools/train.py configs/demo/fastmim_cmt-micro_bs64_demo-64.py
Batch:   1 process x 64
Result:  an example of the wiring, about a minute on two cores; not tuned
"""
_base_ = '../_base_/demo_fastmim_64.py'

model = dict(
    backbone=dict(
        type='mim_plugins.CMT',
        arch=dict(embed_dims=[32, 64, 96, 128], depths=[1, 1, 1, 1], num_heads=[1, 2, 3, 4], sr_ratios=[8, 4, 2, 1],
                  mlp_ratios=[4, 4, 4, 4], stem_channels=16)),
    neck=dict(in_channels=128))
