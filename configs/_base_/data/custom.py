"""Any COCO keypoint file: `train.json`, `val.json` and `images/` in one folder.

Keypoints and classes are those of the files' categories: the leaf says `keypoints=dict(from_data=True)`.
"""

_base_ = ["./loaders.py", "../pipelines/640.py", "../schedules/100e.py"]

data_root = "data/custom/"

train_dataloader = dict(
    dataset=dict(
        type="rtmo_plugin.CocoKeypoints",
        data_root=data_root,
        ann_file="train.json",
        data_prefix=dict(img="images/"),
        keep_background=True,
        pipeline=_base_.warmup_pipeline,
    )
)
default_hooks = dict(training_stages=dict(schedule=dict(finish=dict(pipeline=_base_.finish_pipeline))))

val_dataloader = dict(
    dataset=dict(
        type="rtmo_plugin.CocoKeypoints",
        data_root=data_root,
        ann_file="val.json",
        data_prefix=dict(img="images/"),
        test_mode=True,
        pipeline=_base_.val_pipeline,
    )
)
test_dataloader = val_dataloader

# Without a file of its own the metric reads that of the data.
val_evaluator = dict(type="rtmo_plugin.CocoMetric", score_mode="bbox", nms_mode="none", class_wise=True)
test_evaluator = val_evaluator
