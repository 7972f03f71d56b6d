"""CrowdPose, 14 keypoints, 700 epochs: trained on trainval, evaluated on test (easy, medium, hard)."""

_base_ = ["./loaders.py", "../pipelines/crowdpose.py", "../schedules/700e.py"]

train_dataloader = dict(
    dataset=dict(
        type="CrowdPoseDataset",
        data_root=_base_.data_root,
        data_mode="bottomup",
        ann_file="crowdpose/annotations/mmpose_crowdpose_trainval.json",
        data_prefix=dict(img="pose/CrowdPose/images/"),
        pipeline=_base_.crowd_warmup_pipeline,
    )
)
default_hooks = dict(training_stages=dict(schedule=dict(finish=dict(pipeline=_base_.finish_pipeline))))

val_dataloader = dict(
    dataset=dict(
        type="CrowdPoseDataset",
        data_root=_base_.data_root,
        data_mode="bottomup",
        ann_file="crowdpose/annotations/mmpose_crowdpose_test.json",
        data_prefix=dict(img="pose/CrowdPose/images/"),
        test_mode=True,
        pipeline=_base_.val_pipeline,
    )
)
test_dataloader = val_dataloader

# The metric takes the annotation file from the dataset.  CrowdPose has no areas: the metric uses
# 0.53 x width x height of the box.
val_evaluator = dict(
    type="rtmo_plugin.CocoMetric",
    score_mode="bbox",
    nms_mode="none",
    iou_type="keypoints_crowd",
    prefix="crowdpose",
    use_area=False,
)
test_evaluator = val_evaluator
