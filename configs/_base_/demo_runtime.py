# The runtime of recipes that train for a minute.
_base_ = 'default_runtime.py'

default_hooks = dict(
    logger=dict(interval=20),
    checkpoint=dict(interval=1, max_keep_ckpts=2),
    data_wait=dict(threshold=50.))  # without workers loading and training take turns
