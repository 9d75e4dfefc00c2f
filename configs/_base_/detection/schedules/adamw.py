# What the schedules share: AdamW in bf16; norms and tables of positions are not decayed.
optim_wrapper = dict(
    type='AmpOptimWrapper',
    dtype='bfloat16',
    loss_scale=dict(enabled=False),
    optimizer=dict(type='AdamW', betas=(0.9, 0.999), fused=True),
    paramwise_cfg=dict(
        norm_decay_mult=0.0,
        custom_keys=dict(pos_embed=dict(decay_mult=0.0), relative_position_bias_table=dict(decay_mult=0.0))))
train_cfg = dict(type='EpochBasedTrainLoop')
auto_scale_lr = dict(enable=False)  # mmdet's --auto-scale-lr wants it stated
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
