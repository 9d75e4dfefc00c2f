"""ViTDet on COCO for 100 epochs from PixMIM's ViT-B/16.

Paper:   PixMIM: Rethinking Pixel Reconstruction in Masked Image Modeling (arXiv 2303.02416)
Command: NNODES=2 tools/dist_train.sh configs/pixmim/benchmarks/pixmim_vit-base_vitdet_16xb4-amp-100e_coco-1024.py 8
Batch:   16 GPUs x 4 = 64; lr = 3.2e-4 x 64 / 256 = 8e-5
Result:  not reproduced by us
Differs: the detector's form, the steps and 250 iterations of warmup are ViTDet's (inferred)
"""
_base_ = [
    '../../_base_/detection/models/vitdet_vit-base.py',
    '../../_base_/detection/datasets/coco_lsj-1024.py',
    '../../_base_/detection/schedules/layer-decay_bs64_100e.py',
    '../../_base_/detection/runtime.py',
]

train_dataloader = dict(batch_size=4)
default_hooks = dict(
    encoder=dict(checkpoint='work_dirs/pixmim_vit-base_8xb512-amp-800e_in1k-224/epoch_800.pth', coverage=0.85))
