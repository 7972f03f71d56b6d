"""Synthetic people of 128 x 128 pixels: the weights from which studies of few images start, for slow CPUs."""

_base_ = ["../../rtmo-t_synthetic.py"]

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
train_dataloader = dict(dataset=dict(num_images=1200, size_wh=small_size, pipeline=small_warmup_pipeline))
val_dataloader = dict(dataset=dict(size_wh=small_size, pipeline=small_val_pipeline))
test_dataloader = val_dataloader

train_cfg = dict(val_interval=6)
default_hooks = dict(
    checkpoint=dict(interval=6, max_keep_ckpts=1),
    training_stages=dict(schedule=dict(finish=dict(pipeline=small_finish_pipeline))),
)
