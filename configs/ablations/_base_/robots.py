"""Ablations on other keypoints: RTMO-t on drawn robots (`tools/make_robots.py`), 128 x 128 pixels, for CPUs.

A study sets `train_dataloader.dataset.indices`; `--epochs` gives few images as many steps as many.
"""

_base_ = ["../../rtmo-t_custom.py"]

small_size = (128, 128)
small_targets = dict(type="GenerateTarget", encoder=dict(type="YOLOXPoseAnnotationProcessor", input_size=small_size))
small_warmup_pipeline = [
    _base_.warmup_pipeline[0],
    dict(_base_.warmup_pipeline[1], input_size=small_size),
    *_base_.warmup_pipeline[2:5],
    small_targets,
    _base_.warmup_pipeline[6],
]
small_finish_pipeline = [
    _base_.finish_pipeline[0],
    dict(_base_.finish_pipeline[1], input_size=small_size),
    *_base_.finish_pipeline[2:5],
    small_targets,
    _base_.finish_pipeline[6],
]
small_val_pipeline = [
    _base_.val_pipeline[0],
    dict(_base_.val_pipeline[1], input_size=small_size),
    _base_.val_pipeline[2],
]
train_dataloader = dict(dataset=dict(pipeline=small_warmup_pipeline))
val_dataloader = dict(dataset=dict(pipeline=small_val_pipeline))
test_dataloader = val_dataloader

train_cfg = dict(val_interval=16)
default_hooks = dict(
    checkpoint=dict(interval=16, max_keep_ckpts=1),
    training_stages=dict(schedule=dict(finish=dict(pipeline=small_finish_pipeline))),
)
