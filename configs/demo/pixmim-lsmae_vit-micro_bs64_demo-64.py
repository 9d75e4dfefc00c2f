"""PixMIM on LSMAE on the demo data: masked in units of 2 x 2 tokens.

Paper:   Exploring Long-Sequence Masked Autoencoders (arXiv 2210.07224)
Command: python tools/train.py configs/demo/pixmim-lsmae_vit-micro_bs64_demo-64.py
Batch:   1 process x 64
Result:  an example of the wiring, about a minute on two cores; not tuned
"""
_base_ = 'pixmim_vit-micro_bs64_demo-32.py'

model = dict(input_size=64, data_preprocessor=dict(mask=dict(unit=8)))
train_dataloader = dict(dataset=dict(indices=2048, pipeline=[
    dict(type='mim_plugins.LoadRGBImage'),
    dict(type='mim_plugins.SimpleResizedCrop', scale=64, padding=1),
    dict(type='PackInputs'),
]))
