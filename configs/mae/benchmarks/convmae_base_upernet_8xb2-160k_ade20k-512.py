"""UperNet on ADE20K with ConvMAE-B.

Paper:   PixMIM: Rethinking Pixel Reconstruction in Masked Image Modeling (arXiv 2303.02416)
Command: tools/dist_train.sh configs/mae/benchmarks/convmae_base_upernet_8xb2-160k_ade20k-512.py 8
Batch:   8 GPUs x 2 = 16; lr = 4.8e-3 x 16 / 256 = 3e-4
Result:  see the paper; not reproduced by us
Differs: PixMIM's setting, for comparison with it; 1500 iterations of warmup, windows of 16 but in blocks 0, 3, 6 and
         10, and a pooled fourth level are inferred
"""
_base_ = [
    '../../_base_/segmentation/models/upernet_convmae-base.py',
    '../../_base_/segmentation/datasets/ade20k_512.py',
    '../../_base_/segmentation/schedules/cosine_bs16_160k.py',
    '../../_base_/segmentation/runtime.py',
]

optim_wrapper = dict(optimizer=dict(lr=4.8e-3 * 16 / 256), paramwise_cfg=dict(layer_decay_rate=0.75))
default_hooks = dict(encoder=dict(checkpoint='work_dirs/convmae_base_8xb128-amp-1600e_in1k-224/epoch_1600.pth'))
