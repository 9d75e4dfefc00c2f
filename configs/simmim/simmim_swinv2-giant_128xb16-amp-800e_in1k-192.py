"""SimMIM, SwinV2-G on ImageNet-1K at 192 px for 800 epochs, optimizer state sharded.

Paper:   SimMIM: A Simple Framework for Masked Image Modeling (arXiv 2111.09886)
Command: NNODES=16 tools/dist_train.sh configs/simmim/simmim_swinv2-giant_128xb16-amp-800e_in1k-192.py 8
Batch:   128 GPUs x 16 = 2048; lr = 5e-5 x 2048 / 256 = 0.0004
Result:  the paper trained on 70 M images, not published; not reproduced by us
Differs: as SwinV2-H; the data are ImageNet-1K
"""
_base_ = 'simmim_swinv2-huge_32xb64-amp-800e_in1k-192.py'

model = dict(
    backbone=dict(arch='giant'),
    neck=dict(in_channels=4096))
train_dataloader = dict(batch_size=16)
