"""UperNet on ADE20K with PixMIM's ViT-B/16.

Paper:   PixMIM: Rethinking Pixel Reconstruction in Masked Image Modeling (arXiv 2303.02416)
Command: tools/dist_train.sh configs/pixmim/benchmarks/pixmim_vit-base_upernet_8xb2-160k_ade20k-512.py 8
Batch:   8 GPUs x 2 = 16; lr = 3.2e-3 x 16 / 256 = 2e-4
Result:  see the paper; not reproduced by us
Differs: 1500 iterations of warmup are inferred
"""
_base_ = [
    '../../_base_/segmentation/models/upernet_vit-base.py',
    '../../_base_/segmentation/datasets/ade20k_512.py',
    '../../_base_/segmentation/schedules/cosine_bs16_160k.py',
    '../../_base_/segmentation/runtime.py',
]

optim_wrapper = dict(optimizer=dict(lr=3.2e-3 * 16 / 256), paramwise_cfg=dict(layer_decay_rate=0.75))
default_hooks = dict(encoder=dict(checkpoint='work_dirs/pixmim_vit-base_8xb512-amp-800e_in1k-224/epoch_800.pth'))
