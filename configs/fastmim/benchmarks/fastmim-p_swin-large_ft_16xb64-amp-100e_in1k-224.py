"""FastMIM-P (growing images), Swin-L fine-tuned on ImageNet-1K at 224 px for 100 epochs.

Paper:   FastMIM: Expediting Masked Image Modeling Pre-training for Vision (arXiv 2212.06593)
Command: NNODES=2 tools/dist_train.sh configs/fastmim/benchmarks/fastmim-p_swin-large_ft_16xb64-amp-100e_in1k-224.py 8
Batch:   16 GPUs x 64 = 1024; lr = 0.001 x 1024 / 256 = 0.004
Result:  see the paper; not reproduced by us
"""
_base_ = 'fastmim_swin-large_ft_16xb64-amp-100e_in1k-224.py'

default_hooks = dict(encoder=dict(
    checkpoint='work_dirs/fastmim-p_swin-large_8xb256-amp-400e_in1k-128-192/epoch_400.pth'))
