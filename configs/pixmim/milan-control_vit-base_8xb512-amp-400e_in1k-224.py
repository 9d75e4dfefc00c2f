"""A teacher as target with PixMIM's crops: the control in which textures play no part.

Paper:   MILAN: Masked Image Pretraining on Language Assisted Representation (arXiv 2208.06049)
Command: tools/dist_train.sh configs/pixmim/milan-control_vit-base_8xb512-amp-400e_in1k-224.py 8
Batch:   8 GPUs x 512 = 4096; lr = 1.5e-4 x 4096 / 256 = 0.0024
Result:  85.3 fine-tuned, 78.9 linear (mmpretrain, with random resized crops); not reproduced by us
Differs: random masks and MAE's decoder, where MILAN draws masks by the teacher's attention and decodes
         masked tokens only. For the other arm take ../_base_/datasets/unlabelled_224_bicubic.py
Teacher: CLIP ViT-B/16 as an mmpretrain VisionTransformer checkpoint, put at the path below
"""
_base_ = [
    '../_base_/models/milan-control_vit-base.py',
    '../_base_/datasets/unlabelled_224_src.py',
    '../_base_/schedules/mae_bs4096_400e.py',
    '../_base_/default_runtime.py',
]
