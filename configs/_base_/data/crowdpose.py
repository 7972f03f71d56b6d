"""CrowdPose, 14 keypoints, 700 epochs: trained on trainval, evaluated on test (easy, medium, hard)."""

_base_ = ["./coco_files.py", "../schedules/700e.py"]

# For CrowdPose alone: a stronger affine and mixup before `finish`.
crowd_warmup_pipeline = [
    *_base_.warmup_pipeline[:2],
    dict(_base_.warmup_pipeline[2], shift_factor=0.2, rotate_factor=30, scale_factor=(0.5, 1.5)),
    dict(_base_.warmup_pipeline[3], ratio_range=(0.6, 1.6)),
    *_base_.warmup_pipeline[4:],
]

train_dataloader = dict(
    dataset=dict(
        type="CrowdPoseDataset",
        data_mode="bottomup",
        ann_file="crowdpose/annotations/mmpose_crowdpose_trainval.json",
        data_prefix=dict(img="pose/CrowdPose/images/"),
        pipeline=crowd_warmup_pipeline,
    )
)
default_hooks = dict(training_stages=dict(schedule=dict(finish=dict(pipeline=_base_.finish_pipeline))))

val_dataloader = dict(
    dataset=dict(
        type="CrowdPoseDataset",
        data_mode="bottomup",
        ann_file="crowdpose/annotations/mmpose_crowdpose_test.json",
        data_prefix=dict(img="pose/CrowdPose/images/"),
    )
)
test_dataloader = val_dataloader

# CrowdPose has no areas: the metric uses 0.53 x width x height of the box.
val_evaluator = dict(iou_type="keypoints_crowd", prefix="crowdpose", use_area=False)
test_evaluator = val_evaluator
