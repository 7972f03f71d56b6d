"""Synthetic people of 128 x 128 pixels: the weights from which studies of few images start, for slow CPUs."""

_base_ = ["../../rtmo-t_synthetic.py"]

from rtmo_plugin.config.sections import resize_steps  # noqa: E402

small_size = (128, 128)
train_dataloader = dict(
    dataset=dict(num_images=1200, size_wh=small_size, pipeline=resize_steps(_base_.warmup_pipeline, small_size))
)
val_dataloader = dict(dataset=dict(size_wh=small_size, pipeline=resize_steps(_base_.val_pipeline, small_size)))
test_dataloader = val_dataloader

train_cfg = dict(val_interval=6)
default_hooks = dict(
    checkpoint=dict(interval=6, max_keep_ckpts=1),
    training_stages=dict(schedule=dict(finish=dict(pipeline=resize_steps(_base_.finish_pipeline, small_size)))),
)
