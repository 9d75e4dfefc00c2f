# FastMIM's for Swin: lr = 4.8e-4 x 32 / 256 = 6e-5, a tenth after 27 and again after 33 of 36 epochs.
_base_ = 'adamw.py'

base_lr = 4.8e-4
batch = 32
optim_wrapper = dict(optimizer=dict(lr=base_lr * batch / 256, weight_decay=0.05))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=False, begin=0, end=1500),
    dict(type='MultiStepLR', by_epoch=True, begin=0, end=36, milestones=[27, 33], gamma=0.1),
]
train_cfg = dict(max_epochs=36, val_interval=3)
auto_scale_lr = dict(base_batch_size=batch)
