"""MixMIM, R50x3 fine-tuned on ImageNet-1K at 224 px for 100 epochs.

Paper:   MixMIM: Mixed and Masked Image Modeling for Efficient Visual Representation Learning
         (arXiv 2205.13137)
Command: NNODES=4 tools/dist_train.sh configs/mixmim/benchmarks/mixmim_r50x3_ft_32xb32-amp-100e_in1k-224.py 8
Batch:   32 GPUs x 32 = 1024; lr = 0.0005 x 1024 / 256 = 0.002
Result:  see the paper; not reproduced by us
Differs: epochs, lr, layer decay and drop path are MixMIM-B's (inferred): the paper gives none for this encoder
"""
_base_ = [
    '../../_base_/models/classifier_r50x3.py',
    '../../_base_/datasets/imagenet_224_finetune.py',
    '../../_base_/schedules/finetune_bs1024_100e.py',
    '../../_base_/classification_runtime.py',
]

optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=0.7))
train_dataloader = dict(batch_size=32)
default_hooks = dict(encoder=dict(checkpoint='work_dirs/mixmim_r50x3_32xb32-amp-300e_in1k-224/epoch_300.pth'))
