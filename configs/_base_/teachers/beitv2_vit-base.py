# BEiT v2 ViT-B/16, pre-trained, under mmpretrain's names (arXiv 2208.06366): its position bias follows the size.
teacher = dict(
    type='mim_plugins.TeacherTarget', channels=768, cell=16, dtype='bfloat16', from_middle=True,
    checkpoint='data/teachers/beitv2_vit-base.pth',
    teacher_mean=[123.675, 116.28, 103.53], teacher_std=[58.395, 57.12, 57.375],
    teacher=dict(
        type='mim_plugins.ResizableBEiT', arch='base', patch_size=16, img_size=224, out_type='raw', final_norm=False,
        use_abs_pos_emb=False, use_rel_pos_bias=False, use_shared_rel_pos_bias=True, layer_scale_init_value=0.1))
