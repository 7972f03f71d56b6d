"""Halpe Full-Body, 136 keypoints, 600 epochs: trained on HICO-DET's images, evaluated on COCO's val2017."""

_base_ = ["./coco_files.py", "../schedules/600e.py"]

train_dataloader = dict(
    dataset=dict(
        type="HalpeDataset",
        data_mode="bottomup",
        ann_file="halpe/annotations/halpe_train_v1.json",
        data_prefix=dict(img="pose/Halpe/hico_20160224_det/images/train2015/"),
    )
)
default_hooks = dict(training_stages=dict(schedule=dict(finish=dict(pipeline=_base_.finish_pipeline))))

val_dataloader = dict(
    dataset=dict(
        type="HalpeDataset",
        data_mode="bottomup",
        ann_file="halpe/annotations/halpe_val_v1.json",
        data_prefix=dict(img="coco/val2017/"),
    )
)
test_dataloader = val_dataloader

val_evaluator = dict(ann_file=_base_.data_root + "halpe/annotations/halpe_val_v1.json", prefix="halpe")
test_evaluator = val_evaluator
