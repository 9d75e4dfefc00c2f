"""FastMIM, PVTv2-B2 fine-tuned on ImageNet-1K at 224 px for 200 epochs.

Paper:   FastMIM: Expediting Masked Image Modeling Pre-training for Vision (arXiv 2212.06593)
Command: tools/dist_train.sh configs/fastmim/benchmarks/fastmim_pvtv2-b2_ft_8xb128-amp-200e_in1k-224.py 8
Batch:   8 GPUs x 128 = 1024; lr = 0.001 x 1024 / 256 = 0.004
Result:  see the paper; not reproduced by us
Differs: layer decay .8 (that of Swin-B) and drop path .1 are inferred
"""
_base_ = [
    '../../_base_/models/classifier_pvtv2-b2.py',
    '../../_base_/datasets/imagenet_224_finetune.py',
    '../../_base_/schedules/finetune_bs1024_200e.py',
    '../../_base_/classification_runtime.py',
]

optim_wrapper = dict(optimizer=dict(lr=1e-3 * 1024 / 256), paramwise_cfg=dict(layer_decay_rate=0.8))
default_hooks = dict(encoder=dict(checkpoint='work_dirs/fastmim_pvtv2-b2_8xb256-amp-800e_in1k-128/epoch_800.pth'))
