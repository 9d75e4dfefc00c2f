"""FastMIM-P, Swin-L on ImageNet-1K: 200 epochs at 128 px, 100 at 160, 100 at 192.

Paper:   FastMIM: Expediting Masked Image Modeling Pre-training for Vision (arXiv 2212.06593)
Command: tools/dist_train.sh configs/fastmim/fastmim-p_swin-large_8xb256-amp-400e_in1k-128-192.py 8
Batch:   8 GPUs x 256 = 2048; lr = 1.5e-4 x 2048 / 256 = 0.0012
Result:  not reproduced by us
Differs: windows of size / 16 are inferred; the tables are made for windows of 14 as in the paper and
         interpolated in each forward
"""
_base_ = ['fastmim_swin-large_8xb256-amp-400e_in1k-128.py']

model = dict(backbone=dict(table_window=14))
default_hooks = dict(progressive=dict(
    type='mim_plugins.ProgressiveResolutionHook',
    stages=[dict(epochs=200, size=128), dict(epochs=100, size=160), dict(epochs=100, size=192)]))
