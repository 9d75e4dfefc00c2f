# MAE ViT-L/16, as released or under mmpretrain's names (arXiv 2111.06377).
teacher = dict(
    type='mim_plugins.TeacherTarget', channels=1024, cell=16, dtype='bfloat16', from_middle=True,
    checkpoint='data/teachers/mae_vit-large.pth',
    teacher_mean=[123.675, 116.28, 103.53], teacher_std=[58.395, 57.12, 57.375],
    teacher=dict(type='mmpretrain.VisionTransformer', arch='large', patch_size=16, out_type='raw'))
