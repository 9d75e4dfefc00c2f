# The same with GreenMIM's batch: lr = 1.6e-3 x 16 / 256 = 1e-4.
_base_ = 'swin_bs32_36e.py'

base_lr = 1.6e-3
batch = 16
optim_wrapper = dict(optimizer=dict(lr=base_lr * batch / 256))
auto_scale_lr = dict(base_batch_size=batch)
