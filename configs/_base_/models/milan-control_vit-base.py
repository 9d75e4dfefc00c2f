# MAE with the features of a frozen CLIP as target, compared in all places by their cosine.
_base_ = 'mae_vit-base.py'

model = dict(
    target_generator=dict(
        _delete_=True, type='mim_plugins.TeacherTarget', channels=768, cell=16,
        checkpoint='data/teachers/clip_vit-base-p16.pth',
        teacher_mean=[122.771, 116.746, 104.094], teacher_std=[68.501, 66.632, 70.323],
        teacher=dict(
            type='mmpretrain.VisionTransformer', arch='base', patch_size=16, out_type='raw', pre_norm=True,
            layer_cfgs=dict(act_cfg=dict(type='mmpretrain.QuickGELU')))),
    head=dict(region='full', loss=dict(criterion='Cosine')))
