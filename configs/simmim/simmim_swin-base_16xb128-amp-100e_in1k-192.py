"""SimMIM, Swin-B on ImageNet-1K at 192 px for 100 epochs.

Paper:   SimMIM: A Simple Framework for Masked Image Modeling (arXiv 2111.09886)
Command: NNODES=2 tools/dist_train.sh configs/simmim/simmim_swin-base_16xb128-amp-100e_in1k-192.py 8
Batch:   16 GPUs x 128 = 2048; lr = 1e-4 x 2048 / 256 = 0.0008
Result:  paper 82.8 % top-1 after fine-tuning at 192 px; not reproduced by us
"""
_base_ = [
    '../_base_/models/simmim_swin-base.py',
    '../_base_/datasets/unlabelled_192_bilinear.py',
    '../_base_/schedules/simmim_bs2048_100e.py',
    '../_base_/default_runtime.py',
]
