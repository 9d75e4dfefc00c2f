# iBOT ViT-B/16, the released teacher (arXiv 2111.07832).
teacher = dict(
    type='mim_plugins.TeacherTarget', channels=768, cell=16, dtype='bfloat16', from_middle=True,
    checkpoint='data/teachers/ibot_vit-base.pth',
    teacher_mean=[123.675, 116.28, 103.53], teacher_std=[58.395, 57.12, 57.375],
    teacher=dict(type='mmpretrain.VisionTransformer', arch='base', patch_size=16, out_type='raw'))
