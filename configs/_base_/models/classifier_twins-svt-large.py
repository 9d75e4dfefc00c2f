# Twins-SVT-L at 224 px with windows of 7, drop path .3.
_base_ = 'classifier.py'

model = dict(
    backbone=dict(
        type='mim_plugins.TwinsSVT', arch='large', out_indices=(3, ), qkv_bias=True,
        norm_after_stage=[False, False, False, True], drop_path_rate=0.3),
    head=dict(in_channels=1024))
