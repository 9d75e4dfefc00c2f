# SimMIM's optimisation for scaling Swin: lr = 5e-5 x batch / 256, a tenth of it in the last eighth of 800 epochs.
_base_ = 'simmim_bs2048_100e.py'

optim_wrapper = dict(optimizer=dict(lr=5e-5 * 2048 / 256))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=True, begin=0, end=10, convert_to_iter_based=True),
    # Milestones count from begin.
    dict(type='MultiStepLR', milestones=[690], gamma=0.1, by_epoch=True, begin=10, end=800,
         convert_to_iter_based=True),
]
train_cfg = dict(max_epochs=800)
