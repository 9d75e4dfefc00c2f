"""FastMAE, ViT-B/16 fine-tuned on 10 % of ImageNet-1K's labels at 224 px for 100 epochs.

Paper:   FastMAE (Computational Visual Media, 2025)
Command: tools/dist_train.sh configs/fastmae/benchmarks/fastmae_vit-base_few-shot_8xb128-amp-100e_in1k-10pct-224.py 8
Batch:   8 GPUs x 128 = 1024; lr = 0.0005 x 1024 / 256 = 0.002
Result:  see the paper; not reproduced by us
Differs: all but the labels is as with all of them (inferred); the list is our own choice of labels, made by
         tools/make_few_shot_list.py data/imagenet/train data/imagenet/meta/train_10pct.txt --percent 10
"""
_base_ = 'fastmae_vit-base_ft_8xb128-amp-100e_in1k-224.py'

train_dataloader = dict(dataset=dict(ann_file='meta/train_10pct.txt'))
