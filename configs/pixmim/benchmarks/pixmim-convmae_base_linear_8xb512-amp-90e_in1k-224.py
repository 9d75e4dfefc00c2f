"""PixMIM on ConvMAE, ConvMAE-B under a linear classifier on ImageNet-1K at 224 px for 90 epochs.

Paper:   PixMIM: Rethinking Pixel Reconstruction in Masked Image Modeling (arXiv 2303.02416)
Command: tools/dist_train.sh configs/pixmim/benchmarks/pixmim-convmae_base_linear_8xb512-amp-90e_in1k-224.py 8
Batch:   8 GPUs x 512 = 4096; lr = 0.1 x 4096 / 256 = 1.6
Result:  see the paper; not reproduced by us
"""
_base_ = [
    '../../_base_/models/linear_convmae-base.py',
    '../../_base_/datasets/imagenet_224_linear.py',
    '../../_base_/schedules/linear_bs4096_90e.py',
    '../../_base_/classification_runtime.py',
]

train_dataloader = dict(batch_size=512)
default_hooks = dict(encoder=dict(checkpoint='work_dirs/pixmim-convmae_base_8xb512-amp-800e_in1k-224/epoch_800.pth'))
