"""Any COCO keypoint file of hundreds or thousands of images: `train.json`, `val.json` and `images/` in one folder.

Keypoints and classes are those of the files' categories: the leaf says `keypoints=dict(from_data=True)`.
docs/custom-data.md has the reasons for what differs from COCO's recipe.
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
# A twentieth of the run, whatever the number of epochs: three epochs of 100 images are 19 steps.
param_scheduler = [
    dict(_base_.param_scheduler[0], end=5),
    dict(_base_.param_scheduler[1], begin=5, T_max=45),
    *_base_.param_scheduler[2:],
]
# Without mosaic the same few images come again and again: at the end they still move, turn and change their size.
moving = dict(
    shift_prob=1.0, shift_factor=0.1, rotate_prob=1.0, rotate_factor=10, scale_prob=1.0, scale_factor=(0.75, 1.25)
)
last_pipeline = [_base_.finish_pipeline[0], dict(_base_.finish_pipeline[1], **moving), *_base_.finish_pipeline[2:]]
default_hooks = dict(training_stages=dict(schedule=dict(finish=dict(pipeline=last_pipeline))))

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
