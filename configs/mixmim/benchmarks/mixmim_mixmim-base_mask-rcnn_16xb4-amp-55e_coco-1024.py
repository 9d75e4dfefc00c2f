"""Mask R-CNN on COCO for 55 epochs from MixMIM-B.

Paper:   MixMIM: Mixed and Masked Image Modeling for Efficient Visual Representation Learning (arXiv 2205.13137)
Command: NNODES=2 tools/dist_train.sh \
         configs/mixmim/benchmarks/mixmim_mixmim-base_mask-rcnn_16xb4-amp-55e_coco-1024.py 8
Batch:   16 GPUs x 4 = 64; lr = 3.2e-4 x 64 / 256 = 8e-5
Result:  not reproduced by us
Differs: batch, lr and weight decay are those of the ViT benchmark (arXiv 2111.11429) that the paper refers to; the
         steps and drop path are inferred
"""
_base_ = [
    '../../_base_/detection/models/mask-rcnn-4conv_mixmim-base.py',
    '../../_base_/detection/datasets/coco_lsj-1024.py',
    '../../_base_/detection/schedules/mixmim_bs64_55e.py',
    '../../_base_/detection/runtime.py',
]

train_dataloader = dict(batch_size=4)
default_hooks = dict(
    encoder=dict(checkpoint='work_dirs/mixmim_mixmim-base_8xb128-amp-600e_in1k-224/epoch_600.pth'))
