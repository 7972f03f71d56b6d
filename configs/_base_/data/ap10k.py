"""AP-10K, 17 keypoints of animals, a class for each species, 100 epochs: validated and tested on the first split."""

_base_ = ["./coco_files.py", "../schedules/100e.py"]

images = dict(type="rtmo_plugin.CocoKeypoints", data_prefix=dict(img="ap10k/data/"))
train_dataloader = dict(dataset=dict(images, ann_file="ap10k/annotations/ap10k-train-split1.json"))
val_dataloader = dict(dataset=dict(images, ann_file="ap10k/annotations/ap10k-val-split1.json"))
test_dataloader = dict(dataset=dict(images, ann_file="ap10k/annotations/ap10k-test-split1.json"))
default_hooks = dict(training_stages=dict(schedule=dict(finish=dict(pipeline=_base_.finish_pipeline))))

# AP is the mean of the species' APs.
val_evaluator = dict(class_wise=True, prefix="ap10k")
test_evaluator = val_evaluator
del images  # only for reading this file
