"""ConvMAE-B on ImageNet-1K at 224 px for 1600 epochs.

Paper:   ConvMAE: Masked Convolution Meets Masked Autoencoders (arXiv 2205.03892)
Command: tools/dist_train.sh configs/mae/convmae_base_8xb128-amp-1600e_in1k-224.py 8
Batch:   8 GPUs x 128 = 1024; lr = 1.5e-4 x 1024 / 256 = 0.0006
Result:  85.0 fine-tuned (paper); not reproduced by us
"""
_base_ = [
    '../_base_/models/convmae_base.py',
    '../_base_/datasets/unlabelled_224_bicubic.py',
    '../_base_/schedules/mae_bs4096_1600e.py',
    '../_base_/default_runtime.py',
]

train_dataloader = dict(batch_size=128)
optim_wrapper = dict(optimizer=dict(lr=1.5e-4 * 1024 / 256))
auto_scale_lr = dict(base_batch_size=1024)
