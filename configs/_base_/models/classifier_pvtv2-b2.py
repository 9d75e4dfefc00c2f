# PVTv2-B2 of timm at 224 px, drop path .1.
_base_ = 'classifier.py'

model = dict(
    backbone=dict(type='mim_plugins.TIMMEncoder', model_name='pvt_v2_b2', drop_path_rate=0.1),
    head=dict(in_channels=512))
