# Unlabelled images at 224 px as for MAE, in batches that can be mixed: a last one of a single image is left out.
_base_ = 'unlabelled_224_bicubic.py'

train_dataloader = dict(batch_size=128, drop_last=True)
