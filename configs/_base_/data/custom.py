"""Any COCO keypoint file: `train.json`, `val.json` and `images/` in one folder.

Keypoints and classes are those of the files' categories: the leaf says `keypoints=dict(from_data=True)`.
"""

_base_ = ["./coco_files.py", "../schedules/100e.py"]

data_root = "data/custom/"

train_dataloader = dict(
    dataset=dict(
        type="rtmo_plugin.CocoKeypoints",
        data_root=data_root,
        ann_file="train.json",
        data_prefix=dict(img="images/"),
        keep_background=True,
    )
)
default_hooks = dict(training_stages=dict(schedule=dict(finish=dict(pipeline=_base_.finish_pipeline))))

val_dataloader = dict(
    dataset=dict(
        type="rtmo_plugin.CocoKeypoints",
        data_root=data_root,
        ann_file="val.json",
        data_prefix=dict(img="images/"),
    )
)
test_dataloader = val_dataloader

val_evaluator = dict(class_wise=True)
test_evaluator = val_evaluator
