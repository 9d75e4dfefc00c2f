# The BEiT-style ViT-B/16 of SimMIM at 224 px: a relative-position table for each layer, drop path .1.
_base_ = 'classifier.py'

model = dict(
    backbone=dict(
        type='mim_plugins.ResizableBEiT', arch='base', img_size=224, patch_size=16, out_type='avg_featmap',
        use_rel_pos_bias=True, use_shared_rel_pos_bias=False, layer_scale_init_value=0.1, drop_path_rate=0.1),
    neck=None,
    head=dict(in_channels=768))
