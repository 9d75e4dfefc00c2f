# Mask R-CNN on four levels of ViT-B: the last of each three blocks attends everywhere, the others in windows
# (the MAE-style form of FastMIM's transfer).
_base_ = 'mask-rcnn-4conv.py'

model = dict(
    data_preprocessor=dict(pad_size_divisor=1024),  # in tests too: positions are those of 1024 px
    backbone=dict(
        _delete_=True, type='mim_plugins.DenseVisionTransformer', arch='base', img_size=224, input_size=1024,
        out_indices=(2, 5, 8, 11), window_size=14, global_blocks=(2, 5, 8, 11), relative_position='shared_table',
        drop_path_rate=0.1),
    neck=[
        dict(type='mim_plugins.RescaledLevels', in_channels=768),
        dict(type='FPN', in_channels=[768] * 4, out_channels=256, num_outs=5,
             norm_cfg=dict(type='SyncBN', requires_grad=True)),
    ])
