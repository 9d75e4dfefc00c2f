# ViTDet's: lr = 4e-4 x 64 / 256 = 1e-4, layer decay .7, a tenth after 8/9 and again after 26/27 of 184,375 iterations.
_base_ = 'layer-decay_bs64_100e.py'

base_lr = 4e-4
batch = 64
optim_wrapper = dict(optimizer=dict(lr=base_lr * batch / 256), paramwise_cfg=dict(layer_decay_rate=0.7))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=False, begin=0, end=250),
    dict(type='MultiStepLR', by_epoch=False, begin=0, end=184375, milestones=[163889, 177546], gamma=0.1),
]
train_cfg = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=184375, val_interval=10000)
