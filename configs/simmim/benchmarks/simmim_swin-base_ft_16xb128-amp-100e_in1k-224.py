"""SimMIM, Swin-B after 100 epochs of pre-training, fine-tuned on ImageNet-1K at 224 px for 100 epochs.

Paper:   SimMIM: A Simple Framework for Masked Image Modeling (arXiv 2111.09886)
Command: NNODES=2 tools/dist_train.sh configs/simmim/benchmarks/simmim_swin-base_ft_16xb128-amp-100e_in1k-224.py 8
Batch:   16 GPUs x 128 = 2048; lr = 0.000625 x 2048 / 256 = 0.005
Result:  83.5 % top-1 (released); not reproduced by us
Differs: the size is the released code's, with 10 epochs of warmup as in the paper instead of its 20
"""
_base_ = [
    '../../_base_/models/classifier_swin-base.py',
    '../../_base_/datasets/imagenet_224_finetune.py',
    '../../_base_/schedules/finetune_bs2048_100e.py',
    '../../_base_/classification_runtime.py',
]

optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=0.9))
default_hooks = dict(encoder=dict(checkpoint='work_dirs/simmim_swin-base_16xb128-amp-100e_in1k-192/epoch_100.pth'))
