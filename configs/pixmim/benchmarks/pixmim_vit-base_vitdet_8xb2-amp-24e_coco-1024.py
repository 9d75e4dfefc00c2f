"""ViTDet on COCO for mmdet's 2x schedule (24 epochs) from PixMIM's ViT-B/16.

Paper:   PixMIM: Rethinking Pixel Reconstruction in Masked Image Modeling (arXiv 2303.02416)
Command: tools/dist_train.sh configs/pixmim/benchmarks/pixmim_vit-base_vitdet_8xb2-amp-24e_coco-1024.py 8
Batch:   8 GPUs x 2 = 16; lr = 1.6e-3 x 16 / 256 = 1e-4
Result:  not reproduced by us
Differs: lr and layer decay are inferred from the longer schedules; mmdet's own lr is one for SGD
"""
_base_ = [
    '../../_base_/detection/models/vitdet_vit-base.py',
    '../../_base_/detection/datasets/coco_lsj-1024.py',
    '../../_base_/detection/schedules/layer-decay_bs16_2x.py',
    '../../_base_/detection/runtime.py',
]

train_dataloader = dict(batch_size=2)
default_hooks = dict(
    encoder=dict(checkpoint='work_dirs/pixmim_vit-base_8xb512-amp-800e_in1k-224/epoch_800.pth', coverage=0.85))
