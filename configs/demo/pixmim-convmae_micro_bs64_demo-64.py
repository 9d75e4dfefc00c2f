"""PixMIM on ConvMAE on the demo data, narrow and short.

Paper:   ConvMAE: Masked Convolution Meets Masked Autoencoders (arXiv 2205.03892)
Command: python tools/train.py configs/demo/pixmim-convmae_micro_bs64_demo-64.py
Batch:   1 process x 64
Result:  an example of the wiring, about a minute on two cores; not tuned
"""
_base_ = [
    '../_base_/models/pixmim-convmae_base.py',
    '../_base_/datasets/demo_64.py',
    '../_base_/schedules/demo_3e.py',
    '../_base_/demo_runtime.py',
]

model = dict(
    input_size=64,
    backbone=dict(arch=dict(_delete_=True, embed_dims=[32, 64, 128], depths=[1, 1, 2], num_heads=4)),
    neck=dict(in_channels=128, embed_dims=64, depth=2, num_heads=2))
train_dataloader = dict(dataset=dict(pipeline=[
    dict(type='mim_plugins.LoadRGBImage'),
    dict(type='mim_plugins.SimpleResizedCrop', scale=64, padding=1),
    dict(type='PackInputs'),
]))
