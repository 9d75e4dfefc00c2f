# COCO instances as mmdet's 1x and 2x schedules read them: 1333 x 800 px, flip.
_base_ = 'mmdet::_base_/datasets/coco_instance.py'

train_dataloader = dict(num_workers=4)
