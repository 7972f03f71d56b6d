"""COCO 2017, 17 keypoints, 600 epochs."""

_base_ = ["./coco_files.py", "../schedules/600e.py"]

train_dataloader = dict(
    dataset=dict(
        type="CocoDataset",
        data_mode="bottomup",
        ann_file="coco/annotations/person_keypoints_train2017.json",
        data_prefix=dict(img="coco/train2017/"),
    )
)
default_hooks = dict(training_stages=dict(schedule=dict(finish=dict(pipeline=_base_.finish_pipeline))))

val_dataloader = dict(
    dataset=dict(
        type="CocoDataset",
        data_mode="bottomup",
        ann_file="coco/annotations/person_keypoints_val2017.json",
        data_prefix=dict(img="coco/val2017/"),
    )
)
test_dataloader = val_dataloader

val_evaluator = dict(ann_file=_base_.data_root + "coco/annotations/person_keypoints_val2017.json")
test_evaluator = val_evaluator
