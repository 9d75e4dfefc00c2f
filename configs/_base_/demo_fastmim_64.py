# FastMIM on a part of the demo data at 64 px, for small encoders whose last map has a stride of 32.
_base_ = [
    'models/fastmim_hierarchical.py',
    'datasets/demo_64.py',
    'schedules/demo_3e.py',
    'demo_runtime.py',
]

model = dict(
    input_size=64,
    data_preprocessor=dict(mask=dict(unit=16)),
    target_generator=dict(cell=4, normalize=False),
    neck=dict(embed_dims=128, depth=1))
