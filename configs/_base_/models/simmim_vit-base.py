# SimMIM with a BEiT-style ViT-B/16 at 224 px: one relative-position bias shared by all layers, no absolute embedding.
_base_ = 'simmim_swin-base.py'

model = dict(
    input_size=224,
    fill=dict(bound=0.02),
    backbone=dict(
        _delete_=True, type='mim_plugins.ResizableBEiT', arch='base', patch_size=16, out_type='raw', final_norm=True,
        use_rel_pos_bias=False, use_shared_rel_pos_bias=True, layer_scale_init_value=0.1, drop_path_rate=0.1),
    neck=dict(in_channels=768, stride=16, num_extra_tokens=1))
