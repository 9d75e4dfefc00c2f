"""MixMIM, MixMIM-B fine-tuned on 1 % of ImageNet-1K's labels at 224 px for 100 epochs.

Paper:   MixMIM: Mixed and Masked Image Modeling for Efficient Visual Representation Learning
         (arXiv 2205.13137)
Command: tools/dist_train.sh configs/mixmim/benchmarks/mixmim_mixmim-base_few-shot_8xb128-amp-100e_in1k-1pct-224.py 8
Batch:   8 GPUs x 128 = 1024; lr = 0.0005 x 1024 / 256 = 0.002
Result:  paper gives none; not reproduced by us
Differs: all but the labels is as with all of them (inferred); the list is our own choice of labels, made by
         tools/make_few_shot_list.py data/imagenet/train data/imagenet/meta/train_1pct.txt --percent 1
"""
_base_ = 'mixmim_mixmim-base_ft_8xb128-amp-100e_in1k-224.py'

train_dataloader = dict(dataset=dict(ann_file='meta/train_1pct.txt'))
