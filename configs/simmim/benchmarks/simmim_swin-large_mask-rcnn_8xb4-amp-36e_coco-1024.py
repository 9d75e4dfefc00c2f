"""Mask R-CNN on COCO for 36 epochs from SimMIM's Swin-L, fine-tuned before.

Paper:   SimMIM: A Simple Framework for Masked Image Modeling (arXiv 2111.09886)
Command: tools/dist_train.sh configs/simmim/benchmarks/simmim_swin-large_mask-rcnn_8xb4-amp-36e_coco-1024.py 8
Batch:   8 GPUs x 4 = 32; lr = 4.8e-4 x 32 / 256 = 6e-5
Result:  not reproduced by us
Differs: the setting is that of FastMIM's comparison with SimMIM
"""
_base_ = [
    '../../_base_/detection/models/mask-rcnn-4conv_swin-large.py',
    '../../_base_/detection/datasets/coco_lsj-1024_test-1666.py',
    '../../_base_/detection/schedules/swin_bs32_36e.py',
    '../../_base_/detection/runtime.py',
]

train_dataloader = dict(batch_size=4)
default_hooks = dict(
    encoder=dict(checkpoint='work_dirs/simmim_swin-large_ft_16xb128-amp-100e_in1k-224/epoch_100.pth'))
