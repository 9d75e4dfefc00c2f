"""UperNet on ADE20K with MixMIM-L.

Paper:   MixMIM: Mixed and Masked Image Modeling for Efficient Visual Representation Learning
         (arXiv 2205.13137)
Command: tools/dist_train.sh configs/mixmim/benchmarks/mixmim_mixmim-large_upernet_8xb2-160k_ade20k-512.py 8
Batch:   8 GPUs x 2 = 16; lr = 1.6e-3 x 16 / 256 = 1e-4
Result:  see the paper; not reproduced by us
Differs: lr and its decay are not in the paper: those of BEiT's and MAE's segmenters
"""
_base_ = 'mixmim_mixmim-base_upernet_8xb2-160k_ade20k-512.py'

model = dict(
    backbone=dict(arch='large'),
    decode_head=dict(in_channels=[192, 384, 768, 1536]),
    auxiliary_head=dict(in_channels=768))
optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=0.9))
default_hooks = dict(encoder=dict(checkpoint='work_dirs/mixmim_mixmim-large_16xb64-amp-600e_in1k-224/epoch_600.pth'))
