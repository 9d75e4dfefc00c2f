"""FastMIM-P on the demo data: a small Swin at 32, 48 and 64 px, one epoch each.

Paper:   FastMIM: Expediting Masked Image Modeling Pre-training for Vision (arXiv 2212.06593)
Command: python tools/train.py configs/demo/fastmim-p_swin-micro_bs64_demo-32-64.py
Batch:   1 process x 64
Result:  an example of the wiring, about a minute on two cores; not tuned
"""
_base_ = 'fastmim_swin-micro_bs64_demo-32.py'

model = dict(backbone=dict(table_window=4))
train_dataloader = dict(dataset=dict(indices=4096))
default_hooks = dict(progressive=dict(
    type='mim_plugins.ProgressiveResolutionHook',
    stages=[dict(epochs=1, size=32), dict(epochs=1, size=48), dict(epochs=1, size=64)]))
