"""PixMIM on the demo data with a small ViT: MAE's demo recipe with two changes.

Paper:   PixMIM: Rethinking Pixel Reconstruction in Masked Image Modeling (arXiv 2303.02416)
Command: python tools/train.py configs/demo/pixmim_vit-micro_bs64_demo-32.py
Batch:   1 process x 64
Result:  see benchmarks/pixmim.md
"""
_base_ = 'mae_vit-micro_bs64_demo-32.py'

model = dict(
    type='mim_plugins.PixMIM',
    target_generator=dict(
        _delete_=True, type='mim_plugins.LowPassTarget', radius=40, reference_size=224, target=dict(norm_patch=4)))
train_dataloader = dict(dataset=dict(pipeline=[
    dict(type='mim_plugins.LoadRGBImage'),
    dict(type='mim_plugins.SimpleResizedCrop', scale=32, padding=1),
    dict(type='PackInputs'),
]))
