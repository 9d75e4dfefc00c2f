"""FastMIM, Swin-B on ImageNet-1K at 128 px for 400 epochs.

Paper:   FastMIM: Expediting Masked Image Modeling Pre-training for Vision (arXiv 2212.06593)
Command: tools/dist_train.sh configs/fastmim/fastmim_swin-base_8xb256-amp-400e_in1k-128.py 8
Batch:   8 GPUs x 256 = 2048; lr = 1.5e-4 x 2048 / 256 = 0.0012
Result:  paper 84.1 % top-1 after fine-tuning; not reproduced by us
"""
_base_ = [
    '../_base_/models/fastmim_swin-base.py',
    '../_base_/datasets/unlabelled_128_bicubic.py',
    '../_base_/schedules/fastmim_bs2048_400e.py',
    '../_base_/default_runtime.py',
]
