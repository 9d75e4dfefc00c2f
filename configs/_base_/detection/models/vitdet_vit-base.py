# ViTDet (arXiv 2203.16527): Mask R-CNN on a pyramid of the last map of ViT-B, LayerNorm in neck and heads. A seventh
# of the encoder's tensors are tables of relative positions, which no pre-training has.
_base_ = 'mask-rcnn-4conv.py'

norm_cfg = dict(type='mmpretrain.LN2d', eps=1e-6)
model = dict(
    data_preprocessor=dict(pad_size_divisor=1024),  # in tests too: positions are those of 1024 px
    backbone=dict(
        _delete_=True, type='mim_plugins.DenseVisionTransformer', arch='base', img_size=224, input_size=1024,
        out_indices=(11, ), window_size=14, global_blocks=(2, 5, 8, 11), relative_position='decomposed',
        drop_path_rate=0.1),
    neck=dict(_delete_=True, type='mim_plugins.SimpleFeaturePyramid', in_channels=768),
    roi_head=dict(bbox_head=dict(norm_cfg=norm_cfg), mask_head=dict(norm_cfg=norm_cfg)))
