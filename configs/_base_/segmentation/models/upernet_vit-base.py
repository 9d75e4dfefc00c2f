# On ViT-B/16 as MAE and BEiT have it: four of its twelve layers brought to strides 4 to 32, relative positions that
# start at zero in every layer. Images are read in windows of the training size, two thirds of which overlap.
_base_ = 'upernet.py'

model = dict(
    backbone=dict(
        type='mim_plugins.DenseVisionTransformer',
        arch='base',
        img_size=224,
        patch_size=16,
        input_size=512,
        out_indices=[3, 5, 7, 11],
        relative_position='table',
        with_cls_token=True,
        drop_path_rate=0.1),
    neck=dict(type='Feature2Pyramid', embed_dim=768, rescales=[4, 2, 1, 0.5], norm_cfg={{_base_.norm_cfg}}),
    decode_head=dict(in_channels=[768] * 4, channels=768),
    auxiliary_head=dict(in_channels=768),
    test_cfg=dict(mode='slide', crop_size=(512, 512), stride=(341, 341)))
