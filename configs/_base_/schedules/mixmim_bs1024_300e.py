# MixMIM's optimisation: MAE's at batch 1024, for 300 epochs.
_base_ = 'mae_bs4096_300e.py'

base_lr = 1.5e-4
batch = 1024
optim_wrapper = dict(
    optimizer=dict(lr=base_lr * batch / 256),
    paramwise_cfg=dict(custom_keys=dict(mix_embeddings=dict(decay_mult=0.0))))
auto_scale_lr = dict(base_batch_size=batch)
