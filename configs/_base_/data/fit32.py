"""32 training images of COCO to learn, unchanged, and the same to be tested on; 400 epochs of four batches."""

_base_ = ["./coco.py", "../pipelines/416.py"]

train_cfg = dict(max_epochs=400, val_interval=50, dynamic_intervals=[(400, 1)])
# Load, resize, filter, encode, pack: to fit images, they must not change.
pipeline = [_base_.small_finish_pipeline[i] for i in (0, 1, 5, 6, 7)]
train_dataloader = dict(num_workers=1, dataset=dict(indices=32, pipeline=pipeline))
meta_keys = [*_base_.small_val_pipeline[2]["meta_keys"], "raw_ann_info"]
val_pipeline = [*_base_.small_val_pipeline[:2], dict(type="PackPoseInputs", meta_keys=meta_keys)]
same_images = dict(
    ann_file="coco/annotations/person_keypoints_train2017.json",
    data_prefix=dict(img="coco/train2017/"),
    indices=32,
    test_mode=False,
    pipeline=val_pipeline,
)
val_dataloader = dict(num_workers=1, dataset=same_images)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=None)
test_evaluator = val_evaluator
param_scheduler = [
    dict(type="QuadraticWarmupLR", by_epoch=True, begin=0, end=20, convert_to_iter_based=True),
    dict(
        type="CosineAnnealingLR", eta_min=4e-5, begin=20, end=400, T_max=380, by_epoch=True, convert_to_iter_based=True
    ),
]
default_hooks = dict(
    checkpoint=dict(interval=100),
    logger=dict(interval=4),
    training_stages=dict(schedule=dict(refine=dict(begin=80), finish=dict(begin=360, pipeline=pipeline))),
)
