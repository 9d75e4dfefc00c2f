"""Mask R-CNN on COCO for 12 epochs from FastMAE's ViT-B/16.

Paper:   FastMAE (Computational Visual Media, 2025)
Command: tools/dist_train.sh configs/fastmae/benchmarks/fastmae_vit-base_mask-rcnn_8xb2-amp-12e_coco-1333.py 8
Batch:   8 GPUs x 2 = 16; lr = 4.8e-3 x 16 / 256 = 3e-4
Result:  not reproduced by us
Differs: the form of the detector (four levels without tables of relative positions), images of 1333 x 800 px, 500
         iterations of warmup and no layer decay are inferred
"""
_base_ = [
    '../../_base_/detection/models/mask-rcnn-4conv_vit-base.py',
    '../../_base_/detection/datasets/coco_1333x800.py',
    '../../_base_/detection/schedules/linear_bs16_12e.py',
    '../../_base_/detection/runtime.py',
]

model = dict(
    data_preprocessor=dict(pad_size_divisor=32, batch_augments=None),
    backbone=dict(relative_position='none', drop_path_rate=0.2))
train_dataloader = dict(batch_size=2)
default_hooks = dict(
    encoder=dict(checkpoint='work_dirs/fastmae_vit-base_8xb512-amp-300e_in1k-224/epoch_300.pth'))
