# Fine-tuning as SimMIM's: lr = 6.25e-4 x batch / 256 (5e-3 at 2048), 10 epochs of warmup, clipped at 5.
_base_ = 'finetune_bs1024_100e.py'

base_lr = 6.25e-4
batch = 2048
optim_wrapper = dict(clip_grad=dict(max_norm=5.0), optimizer=dict(lr=base_lr * batch / 256))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-4, by_epoch=True, begin=0, end=10, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min_ratio=2e-4, by_epoch=True, begin=10, end=100, T_max=90,
         convert_to_iter_based=True),
]
auto_scale_lr = dict(base_batch_size=batch)
