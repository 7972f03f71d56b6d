"""Ablations on COCO: RTMO-t from random weights, 30 epochs on one GPU.

`tools/ablate.py` sets `train_dataloader.dataset.indices`, so that a study fits its budget.
"""

_base_ = [
    "../../_base_/runtime_short.py",
    "../../_base_/sizes/t_short.py",
    "../../_base_/data/coco.py",
    "../../_base_/pipelines/416.py",
]

train_dataloader = dict(batch_size=16, dataset=dict(pipeline=_base_.small_warmup_pipeline))
# With the annotations in the samples, what was found can be compared with them, person by person.
meta_keys = [*_base_.small_val_pipeline[2]["meta_keys"], "raw_ann_info"]
val_pipeline = [*_base_.small_val_pipeline[:2], dict(type="PackPoseInputs", meta_keys=meta_keys)]
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader

train_cfg = dict(max_epochs=30, val_interval=30, dynamic_intervals=None)
param_scheduler = [
    dict(type="QuadraticWarmupLR", by_epoch=True, begin=0, end=1, convert_to_iter_based=True),
    dict(type="CosineAnnealingLR", eta_min=4e-5, begin=1, end=30, T_max=29, by_epoch=True, convert_to_iter_based=True),
]
default_hooks = dict(
    checkpoint=dict(interval=30, max_keep_ckpts=1),
    training_stages=dict(
        schedule=dict(refine=dict(begin=10), finish=dict(begin=25, pipeline=_base_.small_finish_pipeline))
    ),
)
