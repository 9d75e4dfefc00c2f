# DINOv2 ViT-B/14 of timm: patches of 14 px, so that it sees a middle image of 256 px at 224 (arXiv 2304.07193).
teacher = dict(
    type='mim_plugins.TeacherTarget', channels=768, cell=16, teacher_patch=14, dtype='bfloat16', from_middle=True,
    checkpoint='data/teachers/dinov2_vit-base.pth',
    teacher_mean=[123.675, 116.28, 103.53], teacher_std=[58.395, 57.12, 57.375],
    teacher=dict(type='mim_plugins.TIMMEncoder', model_name='vit_base_patch14_dinov2', img_size=518))
