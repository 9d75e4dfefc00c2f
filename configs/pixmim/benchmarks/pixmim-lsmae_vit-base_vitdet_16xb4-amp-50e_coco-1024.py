"""ViTDet on COCO for 50 epochs from PixMIM on LSMAE, ViT-B/16.

Paper:   PixMIM: Rethinking Pixel Reconstruction in Masked Image Modeling (arXiv 2303.02416)
Command: NNODES=2 tools/dist_train.sh \
         configs/pixmim/benchmarks/pixmim-lsmae_vit-base_vitdet_16xb4-amp-50e_coco-1024.py 8
Batch:   16 GPUs x 4 = 64; lr = 3.2e-4 x 64 / 256 = 8e-5
Result:  not reproduced by us
Differs: the detector's form, the steps and 250 iterations of warmup are ViTDet's (inferred)
"""
_base_ = [
    '../../_base_/detection/models/vitdet_vit-base.py',
    '../../_base_/detection/datasets/coco_lsj-1024.py',
    '../../_base_/detection/schedules/layer-decay_bs64_50e.py',
    '../../_base_/detection/runtime.py',
]

model = dict(backbone=dict(img_size=448))
train_dataloader = dict(batch_size=4)
default_hooks = dict(
    encoder=dict(checkpoint='work_dirs/pixmim-lsmae_vit-base_16xb128-amp-800e_in1k-448/epoch_800.pth', coverage=0.85))
