# Large-scale jitter at 1024 px, tested at 1666 x 1024 px.
_base_ = 'coco_lsj-1024.py'

load, resize, *rest = _base_.test_dataloader.dataset.pipeline
test_pipeline = [load, dict(resize, scale=(1666, 1024)), *rest]
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
