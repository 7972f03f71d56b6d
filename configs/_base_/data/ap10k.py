"""AP-10K, 17 keypoints of animals, a class for each species, 100 epochs: validated and tested on the first split."""

_base_ = ["./loaders.py", "../pipelines/640.py", "../schedules/100e.py"]

train_dataloader = dict(
    dataset=dict(
        type="rtmo_plugin.CocoKeypoints",
        data_root=_base_.data_root,
        ann_file="ap10k/annotations/ap10k-train-split1.json",
        data_prefix=dict(img="ap10k/data/"),
        pipeline=_base_.warmup_pipeline,
    )
)
default_hooks = dict(training_stages=dict(schedule=dict(finish=dict(pipeline=_base_.finish_pipeline))))

val_dataloader = dict(
    dataset=dict(
        type="rtmo_plugin.CocoKeypoints",
        data_root=_base_.data_root,
        ann_file="ap10k/annotations/ap10k-val-split1.json",
        data_prefix=dict(img="ap10k/data/"),
        test_mode=True,
        pipeline=_base_.val_pipeline,
    )
)
test_dataloader = dict(
    dataset=dict(
        type="rtmo_plugin.CocoKeypoints",
        data_root=_base_.data_root,
        ann_file="ap10k/annotations/ap10k-test-split1.json",
        data_prefix=dict(img="ap10k/data/"),
        test_mode=True,
        pipeline=_base_.val_pipeline,
    )
)

# Without a file of its own the metric reads that of the data.  AP is the mean of the species' APs.
val_evaluator = dict(type="rtmo_plugin.CocoMetric", score_mode="bbox", nms_mode="none", class_wise=True, prefix="ap10k")
test_evaluator = val_evaluator
