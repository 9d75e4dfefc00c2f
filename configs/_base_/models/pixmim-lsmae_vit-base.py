# PixMIM on LSMAE: low frequencies as target.
_base_ = 'lsmae_vit-base.py'

model = dict(
    type='mim_plugins.PixMIM',
    target_generator=dict(
        _delete_=True, type='mim_plugins.LowPassTarget', radius=40, reference_size=224,
        target=dict(norm_patch=16)))
