"""Images and annotation files in COCO's format, at 640 x 640 pixels: what the data files share.

Each adds its class, its files and a schedule.  It also adds the images of `finish`, because those stand in
`default_hooks`, which the schedules have, and two base files may not share a top-level key.
"""

_base_ = ["./loaders.py", "../pipelines/640.py"]

train_dataloader = dict(dataset=dict(data_root=_base_.data_root, pipeline=_base_.warmup_pipeline))
val_dataloader = dict(dataset=dict(data_root=_base_.data_root, test_mode=True, pipeline=_base_.val_pipeline))
test_dataloader = val_dataloader

# Without a file of its own the metric reads that of the data.
val_evaluator = dict(type="rtmo_plugin.CocoMetric", score_mode="bbox", nms_mode="none")
test_evaluator = val_evaluator
