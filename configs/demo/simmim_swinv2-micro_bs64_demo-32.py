"""SimMIM on the demo data with a small SwinV2: patches of 2 px, last map 2 x 2.

Paper:   SimMIM: A Simple Framework for Masked Image Modeling (arXiv 2111.09886)
Command: python tools/train.py configs/demo/simmim_swinv2-micro_bs64_demo-32.py
Batch:   1 process x 64
Result:  an example of the wiring, about a minute on two cores; not tuned
"""
_base_ = 'simmim_swin-micro_bs64_demo-32.py'

model = dict(backbone=dict(
    _delete_=True, type='mim_plugins.ResizableSwinV2', patch_size=2, window_stride=16, out_indices=(3, ),
    drop_path_rate=0.0,
    arch=dict(embed_dims=32, depths=[1, 1, 2, 1], num_heads=[1, 2, 4, 8], extra_norm_every_n_blocks=0)))
