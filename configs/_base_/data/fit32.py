"""32 training images of COCO to learn, unchanged, and the same to be tested on; 300 epochs of four batches."""

_base_ = ["./coco.py", "../pipelines/416.py"]

train_cfg = dict(max_epochs=300, val_interval=100)
# In a subset of 132 training images: the first 32 with at most three people, all larger than 96 x 96
# pixels and with eight or more keypoints.  42 people, few enough to learn by heart in minutes; with
# another annotation file these are other images.
indices = [
    *(0, 5, 13, 19, 22, 23, 24, 29, 34, 36, 37, 38, 40, 41, 43, 45),
    *(47, 50, 55, 57, 63, 64, 66, 69, 71, 72, 74, 78, 85, 98, 99, 100),
]
# Load, resize, filter, encode, pack: to fit images, they must not change.
pipeline = [_base_.small_finish_pipeline[i] for i in (0, 1, 5, 6, 7)]
train_dataloader = dict(num_workers=1, dataset=dict(indices=indices, pipeline=pipeline))
meta_keys = [*_base_.small_val_pipeline[2]["meta_keys"], "raw_ann_info"]
val_pipeline = [*_base_.small_val_pipeline[:2], dict(type="PackPoseInputs", meta_keys=meta_keys)]
same_images = dict(
    ann_file="coco/annotations/person_keypoints_train2017.json",
    data_prefix=dict(img="coco/train2017/"),
    indices=indices,
    test_mode=False,
    pipeline=val_pipeline,
)
val_dataloader = dict(num_workers=1, dataset=same_images)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=None)
test_evaluator = val_evaluator
param_scheduler = [
    dict(type="QuadraticWarmupLR", by_epoch=True, begin=0, end=10, convert_to_iter_based=True),
    dict(
        type="CosineAnnealingLR", eta_min=4e-5, begin=10, end=300, T_max=290, by_epoch=True, convert_to_iter_based=True
    ),
]
default_hooks = dict(
    checkpoint=dict(interval=100),
    logger=dict(interval=4),
    training_stages=dict(schedule=dict(refine=dict(begin=150), finish=dict(begin=270, pipeline=pipeline))),
)
