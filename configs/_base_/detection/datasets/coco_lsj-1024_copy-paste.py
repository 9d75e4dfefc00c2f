# Large-scale jitter at 1024 px, then up to 100 objects of another image pasted in (arXiv 2012.07177).
_base_ = 'coco_lsj-1024_test-1666.py'

*steps, pack = _base_.train_dataloader.dataset.pipeline
pad = dict(type='Pad', size=(1024, 1024))  # objects are pasted between images of one size
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='MultiImageMixDataset',
        dataset=dict(_base_.train_dataloader.dataset, pipeline=[*steps, pad]),
        pipeline=[dict(type='CopyPaste', max_num_pasted=100), pack]))
