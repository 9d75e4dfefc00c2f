"""FastMIM, Twins-SVT-L on ImageNet-1K at 128 px for 800 epochs.

Paper:   FastMIM: Expediting Masked Image Modeling Pre-training for Vision (arXiv 2212.06593)
Command: tools/dist_train.sh configs/fastmim/fastmim_twins-svt-large_8xb256-amp-800e_in1k-128.py 8
Batch:   8 GPUs x 256 = 2048; lr = 1.5e-4 x 2048 / 256 = 0.0012
Result:  not reproduced by us
Differs: the decoder's size is inferred: the paper does not state it for this encoder
"""
_base_ = [
    '../_base_/models/fastmim_hierarchical.py',
    '../_base_/datasets/unlabelled_128_bicubic.py',
    '../_base_/schedules/fastmim_bs2048_800e.py',
    '../_base_/default_runtime.py',
]

model = dict(
    backbone=dict(
        type='mim_plugins.TwinsSVT', drop_path_rate=0.0, out_indices=(3, ), qkv_bias=True,
        norm_after_stage=[False, False, False, True],
        # Twins-SVT-L with windows of 4 instead of 7; the same weights load.
        arch=dict(
            embed_dims=[128, 256, 512, 1024], depths=[2, 2, 18, 2], num_heads=[4, 8, 16, 32],
            patch_sizes=[4, 2, 2, 2], strides=[4, 2, 2, 2], mlp_ratios=[4, 4, 4, 4], sr_ratios=[8, 4, 2, 1],
            window_sizes=[4, 4, 4, 4])),
    neck=dict(in_channels=1024))
