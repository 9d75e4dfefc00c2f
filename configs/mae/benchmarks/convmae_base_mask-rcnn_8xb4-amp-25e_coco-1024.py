"""Mask R-CNN on COCO for 25 epochs from ConvMAE-B.

Paper:   ConvMAE: Masked Convolution Meets Masked Autoencoders (arXiv 2205.03892)
Command: tools/dist_train.sh configs/mae/benchmarks/convmae_base_mask-rcnn_8xb4-amp-25e_coco-1024.py 8
Batch:   8 GPUs x 4 = 32; lr = 6.4e-4 x 32 / 256 = 8e-5
Result:  paper 53.2 AP box, 47.1 AP mask; not reproduced by us
Differs: the cosine, 1500 iterations of warmup, drop path .1, no layer decay, and heads of 4 convolutions with SyncBN
         are inferred
"""
_base_ = [
    '../../_base_/detection/models/mask-rcnn-4conv_convmae-base.py',
    '../../_base_/detection/datasets/coco_lsj-1024.py',
    '../../_base_/detection/schedules/cosine_bs32_25e.py',
    '../../_base_/detection/runtime.py',
]

train_dataloader = dict(batch_size=4)
default_hooks = dict(encoder=dict(checkpoint='work_dirs/convmae_base_8xb128-amp-1600e_in1k-224/epoch_1600.pth'))
