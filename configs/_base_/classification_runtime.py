# The runtime of classifiers: the encoder's weights come from a pre-training run.
_base_ = 'default_runtime.py'

default_hooks = dict(encoder=dict(type='mim_plugins.LoadEncoderHook', checkpoint=None, coverage=0.95))
val_cfg = {}
test_cfg = {}
