"""Mask R-CNN on COCO for 25 epochs from FastMIM's ViT-B/16.

Paper:   FastMIM: Expediting Masked Image Modeling Pre-training for Vision (arXiv 2212.06593)
Command: tools/dist_train.sh configs/fastmim/benchmarks/fastmim_vit-base_mask-rcnn_8xb4-amp-25e_coco-1024.py 8
Batch:   8 GPUs x 4 = 32; lr = 6.4e-4 x 32 / 256 = 8e-5
Result:  not reproduced by us
Differs: the heads (RPN of 2 convolutions, 4 in the box head, SyncBN) and the test size are inferred
"""
_base_ = [
    '../../_base_/detection/models/mask-rcnn-4conv_vit-base.py',
    '../../_base_/detection/datasets/coco_lsj-1024.py',
    '../../_base_/detection/schedules/cosine_bs32_25e.py',
    '../../_base_/detection/runtime.py',
]

train_dataloader = dict(batch_size=4)
default_hooks = dict(
    encoder=dict(checkpoint='work_dirs/fastmim_vit-base_8xb256-amp-800e_in1k-128/epoch_800.pth'))
