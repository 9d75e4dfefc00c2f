"""UperNet on ADE20K with SimMIM's Swin-L.

Paper:   SimMIM: A Simple Framework for Masked Image Modeling (arXiv 2111.09886)
Command: tools/dist_train.sh configs/simmim/benchmarks/simmim_swin-large_upernet_8xb2-160k_ade20k-512.py 8
Test:    python tools/test.py CONFIG CHECKPOINT --tta, or mim test mmsegmentation CONFIG CHECKPOINT --tta
Batch:   8 GPUs x 2 = 16; lr = 4.8e-3 x 16 / 256 = 3e-4
Result:  see the paper; not reproduced by us
Differs: the paper has no setting for Swin-L; this one is FastMIM's for Swin-B, with windows of 14
"""
_base_ = 'simmim_swin-base_upernet_8xb2-160k_ade20k-512.py'

model = dict(
    backbone=dict(arch='large', window_size=14),
    decode_head=dict(in_channels=[192, 384, 768, 1536]),
    auxiliary_head=dict(in_channels=768))
default_hooks = dict(encoder=dict(checkpoint='work_dirs/simmim_swin-large_16xb128-amp-800e_in1k-192/epoch_800.pth'))
