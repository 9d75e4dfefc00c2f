# FastMIM's optimisation for Swin-L: a tenth of the learning rate in the last eighth of 400 epochs.
_base_ = 'fastmim_bs2048_800e.py'

param_scheduler = [
    dict(type='LinearLR', start_factor=1e-4, by_epoch=True, begin=0, end=10, convert_to_iter_based=True),
    # Milestones count from begin.
    dict(type='MultiStepLR', milestones=[340], gamma=0.1, by_epoch=True, begin=10, end=400,
         convert_to_iter_based=True),
]
train_cfg = dict(max_epochs=400)
