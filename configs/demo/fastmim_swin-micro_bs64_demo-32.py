"""FastMIM on the demo data with a small Swin: patches of 2 px, last map 2 x 2.

Paper:   FastMIM: Expediting Masked Image Modeling Pre-training for Vision (arXiv 2212.06593)
Command: python tools/train.py configs/demo/fastmim_swin-micro_bs64_demo-32.py
Batch:   1 process x 64
Result:  an example of wiring a hierarchical encoder; not tuned
"""
_base_ = ['fastmim_vit-micro_bs64_demo-32.py']

model = dict(
    data_preprocessor=dict(mask=dict(unit=16)),
    backbone=dict(
        _delete_=True, type='SwinTransformer', patch_size=2, out_indices=(3, ), drop_path_rate=0.0,
        arch=dict(embed_dims=32, depths=[1, 1, 2, 1], num_heads=[1, 2, 4, 8])),
    neck=dict(in_channels=256, stride=16, num_extra_tokens=0))
