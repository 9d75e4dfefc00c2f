"""Mask R-CNN on COCO for 36 epochs from FastMIM's PVTv2-B2.

Paper:   FastMIM: Expediting Masked Image Modeling Pre-training for Vision (arXiv 2212.06593)
Command: tools/dist_train.sh configs/fastmim/benchmarks/fastmim_pvtv2-b2_mask-rcnn_8xb2-amp-36e_coco-1024.py 8
Batch:   8 GPUs x 2 = 16; lr = 1.6e-3 x 16 / 256 = 1e-4
Result:  paper gives none; not reproduced by us
Differs: the whole setting is taken over from Swin
"""
_base_ = [
    '../../_base_/detection/models/mask-rcnn_pvtv2-b2.py',
    '../../_base_/detection/datasets/coco_lsj-1024_test-1666.py',
    '../../_base_/detection/schedules/swin_bs16_36e.py',
    '../../_base_/detection/runtime.py',
]

train_dataloader = dict(batch_size=2)
default_hooks = dict(
    encoder=dict(checkpoint='work_dirs/fastmim_pvtv2-b2_8xb256-amp-800e_in1k-128/epoch_800.pth'))
