"""Mask R-CNN on COCO for 25 epochs from PixMIM on ConvMAE-B.

Paper:   PixMIM: Rethinking Pixel Reconstruction in Masked Image Modeling (arXiv 2303.02416)
Command: tools/dist_train.sh configs/pixmim/benchmarks/pixmim-convmae_base_mask-rcnn_8xb2-amp-25e_coco-1024.py 8
Batch:   8 GPUs x 2 = 16; lr = 1.6e-3 x 16 / 256 = 1e-4
Result:  not reproduced by us
Differs: the steps and 250 iterations of warmup (ViTDet's), heads of 4 convolutions with SyncBN, and large-scale jitter
         are inferred
"""
_base_ = [
    '../../_base_/detection/models/mask-rcnn-4conv_convmae-base.py',
    '../../_base_/detection/datasets/coco_lsj-1024.py',
    '../../_base_/detection/schedules/layer-decay_bs16_25e.py',
    '../../_base_/detection/runtime.py',
]

train_dataloader = dict(batch_size=2)
default_hooks = dict(
    encoder=dict(checkpoint='work_dirs/pixmim-convmae_base_8xb512-amp-800e_in1k-224/epoch_800.pth'))
