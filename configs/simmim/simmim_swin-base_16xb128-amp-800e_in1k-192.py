"""SimMIM, Swin-B on ImageNet-1K at 192 px for 800 epochs.

Paper:   SimMIM: A Simple Framework for Masked Image Modeling (arXiv 2111.09886)
Command: NNODES=2 tools/dist_train.sh configs/simmim/simmim_swin-base_16xb128-amp-800e_in1k-192.py 8
Batch:   16 GPUs x 128 = 2048; lr = 5e-5 x 2048 / 256 = 0.0004
Result:  paper 84.0 % top-1 after fine-tuning at 224 px; not reproduced by us
"""
_base_ = [
    '../_base_/models/simmim_swin-base.py',
    '../_base_/datasets/unlabelled_192_bilinear.py',
    '../_base_/schedules/simmim_bs2048_800e_step.py',
    '../_base_/default_runtime.py',
]
