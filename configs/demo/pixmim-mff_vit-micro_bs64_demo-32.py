"""PixMIM on MFF on the demo data with a small ViT.

Paper:   Improving Pixel-based MIM by Reducing Wasted Modeling Capability (arXiv 2308.00261)
Command: python tools/train.py configs/demo/pixmim-mff_vit-micro_bs64_demo-32.py
Batch:   1 process x 64
Result:  an example of the wiring, about a minute on two cores; not tuned
"""
_base_ = 'pixmim_vit-micro_bs64_demo-32.py'

model = dict(backbone=dict(type='mim_plugins.MFFVisionTransformer', fused_layers=[0, 1, 3]))
