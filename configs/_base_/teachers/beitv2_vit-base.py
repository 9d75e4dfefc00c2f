# BEiT v2 ViT-B/16 under mmpretrain's names (arXiv 2208.06366): its position bias is for crops of 224 px.
teacher = dict(
    type='mim_plugins.TeacherTarget', channels=768, cell=16, dtype='bfloat16',
    checkpoint='data/teachers/beitv2_vit-base.pth', teacher_patch=14,
    teacher_mean=[127.5, 127.5, 127.5], teacher_std=[127.5, 127.5, 127.5],
    teacher=dict(type='mmpretrain.BEiTViT', arch='base', patch_size=16, img_size=224, out_type='raw'))
