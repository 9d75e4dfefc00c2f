# LSMAE: MAE on long sequences, 448 px in 784 tokens, masked in units of 2 x 2 tokens; a narrower decoder.
_base_ = 'mae_vit-base.py'

model = dict(
    input_size=448,
    data_preprocessor=dict(mask=dict(unit=32)),
    neck=dict(embed_dims=384, num_heads=12))
