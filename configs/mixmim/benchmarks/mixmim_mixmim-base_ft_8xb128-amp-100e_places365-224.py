"""MixMIM, MixMIM-B fine-tuned on Places365 at 224 px for 100 epochs.

Paper:   MixMIM: Mixed and Masked Image Modeling for Efficient Visual Representation Learning
         (arXiv 2205.13137)
Command: tools/dist_train.sh configs/mixmim/benchmarks/mixmim_mixmim-base_ft_8xb128-amp-100e_places365-224.py 8
Batch:   8 GPUs x 128 = 1024; lr = 0.0005 x 1024 / 256 = 0.002
Result:  see the paper; not reproduced by us
Differs: lr, layer decay and epochs are those of ImageNet-1K (inferred)
"""
_base_ = [
    '../../_base_/models/classifier_mixmim-base.py',
    '../../_base_/datasets/places365_224_finetune.py',
    '../../_base_/schedules/finetune_bs1024_100e.py',
    '../../_base_/classification_runtime.py',
]

model = dict(head=dict(num_classes=365))
optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=0.7))
default_hooks = dict(encoder=dict(checkpoint='work_dirs/mixmim_mixmim-base_8xb128-amp-600e_in1k-224/epoch_600.pth'))
