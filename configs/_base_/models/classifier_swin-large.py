# Swin-L at 224 px with windows of 14 (7 in the last stage), drop path .3.
_base_ = 'classifier_swin-base.py'

model = dict(backbone=dict(arch='large', window_size=14, drop_path_rate=0.3), head=dict(in_channels=1536))
