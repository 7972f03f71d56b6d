"""COCO-WholeBody, 133 keypoints on COCO's images, 600 epochs."""

_base_ = ["./coco_files.py", "../schedules/600e.py"]

train_dataloader = dict(
    dataset=dict(
        type="CocoWholeBodyDataset",
        data_mode="bottomup",
        ann_file="coco/annotations/coco_wholebody_train_v1.0.json",
        data_prefix=dict(img="coco/train2017/"),
    )
)
default_hooks = dict(training_stages=dict(schedule=dict(finish=dict(pipeline=_base_.finish_pipeline))))

val_dataloader = dict(
    dataset=dict(
        type="CocoWholeBodyDataset",
        data_mode="bottomup",
        ann_file="coco/annotations/coco_wholebody_val_v1.0.json",
        data_prefix=dict(img="coco/val2017/"),
    )
)
test_dataloader = val_dataloader

val_evaluator = dict(
    type="rtmo_plugin.CocoWholeBodyMetric",
    ann_file=_base_.data_root + "coco/annotations/coco_wholebody_val_v1.0.json",
)
test_evaluator = val_evaluator
