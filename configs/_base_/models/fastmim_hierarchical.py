# FastMIM with an encoder whose last map has a stride of 32: units of 32 px, decoder of 4 blocks 256 wide.
_base_ = 'fastmim_vit-base.py'

model = dict(
    data_preprocessor=dict(mask=dict(unit=32)),
    backbone=dict(_delete_=True),
    neck=dict(stride=32, num_extra_tokens=0, depth=4))
