# CLIP's ViT-B/16 under mmpretrain's names (arXiv 2103.00020).
teacher = dict(
    type='mim_plugins.TeacherTarget', channels=768, cell=16, dtype='bfloat16', from_middle=True,
    checkpoint='data/teachers/clip_vit-base-p16.pth',
    teacher_mean=[122.771, 116.746, 104.094],
    teacher_std=[68.501, 66.632, 70.323],
    teacher=dict(type='mmpretrain.VisionTransformer', arch='base', patch_size=16, out_type='raw', pre_norm=True,
        layer_cfgs=dict(act_cfg=dict(type='mmpretrain.QuickGELU'))))
