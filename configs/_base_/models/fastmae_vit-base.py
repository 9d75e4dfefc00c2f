# FastMAE with ViT-B/16 at 224 px: MAE with a decoder of one block, stored features of a teacher 768 wide, ALM.
_base_ = 'mae_vit-base.py'

model = dict(
    type='mim_plugins.FastMAE',
    target_generator=dict(_delete_=True, type='mim_plugins.OfflineTarget', channels=768, norm='patch'),
    neck=dict(channels_last=False, depth=1))
