# A linear classifier as MAE's, at a batch of 4096.
_base_ = 'linear_bs16384_90e.py'

base_lr = 0.1
batch = 4096
optim_wrapper = dict(optimizer=dict(lr=base_lr * batch / 256))
auto_scale_lr = dict(base_batch_size=batch)
