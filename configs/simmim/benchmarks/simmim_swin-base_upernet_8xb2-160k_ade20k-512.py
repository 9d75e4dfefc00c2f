"""UperNet on ADE20K with SimMIM's Swin-B.

Paper:   SimMIM: A Simple Framework for Masked Image Modeling (arXiv 2111.09886)
Command: tools/dist_train.sh configs/simmim/benchmarks/simmim_swin-base_upernet_8xb2-160k_ade20k-512.py 8
Test:    python tools/test.py CONFIG CHECKPOINT --tta, or mim test mmsegmentation CONFIG CHECKPOINT --tta
Batch:   8 GPUs x 2 = 16; lr = 4.8e-3 x 16 / 256 = 3e-4
Result:  see the paper; not reproduced by us
Differs: the paper has no setting for Swin-B; this one is FastMIM's for its Swin-B
"""
_base_ = [
    '../../_base_/segmentation/models/upernet_swin-base.py',
    '../../_base_/segmentation/datasets/ade20k_512.py',
    '../../_base_/segmentation/schedules/linear_bs16_160k.py',
    '../../_base_/segmentation/runtime.py',
]

optim_wrapper = dict(optimizer=dict(lr=4.8e-3 * 16 / 256), paramwise_cfg=dict(layer_decay_rate=0.9))
default_hooks = dict(encoder=dict(checkpoint='work_dirs/simmim_swin-base_16xb128-amp-800e_in1k-192/epoch_800.pth'))
