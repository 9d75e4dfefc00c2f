"""ViTDet on COCO for 184,375 iterations (100 epochs) from MAE's ViT-B/16.

Paper:   ViTDet: Exploring Plain Vision Transformer Backbones for Object Detection (arXiv 2203.16527)
Command: NNODES=2 tools/dist_train.sh configs/mae/benchmarks/mae_vit-base_vitdet_16xb4-amp-184k_coco-1024.py 8
Batch:   16 GPUs x 4 = 64; lr = 4e-4 x 64 / 256 = 1e-4
Result:  paper 51.6 AP box, 45.7 AP mask; not reproduced by us
"""
_base_ = [
    '../../_base_/detection/models/vitdet_vit-base.py',
    '../../_base_/detection/datasets/coco_lsj-1024.py',
    '../../_base_/detection/schedules/layer-decay_bs64_184k.py',
    '../../_base_/detection/runtime.py',
]

train_dataloader = dict(batch_size=4, sampler=dict(type='InfiniteSampler'))
default_hooks = dict(
    checkpoint=dict(by_epoch=False, interval=10000),
    encoder=dict(checkpoint='work_dirs/mae_vit-base_8xb512-amp-1600e_in1k-224/epoch_1600.pth', coverage=0.85))
log_processor = dict(by_epoch=False)
