"""Ablations on other keypoints: RTMO-t on drawn robots (`tools/make_robots.py`), 128 x 128 pixels, for CPUs.

A study sets `train_dataloader.dataset.indices`; `--epochs` gives few images as many steps as many.
"""

_base_ = ["../../rtmo-t_custom.py"]

from rtmo_plugin.config.sections import resize_steps  # noqa: E402

small_size = (128, 128)
train_dataloader = dict(dataset=dict(pipeline=resize_steps(_base_.warmup_pipeline, small_size)))
val_dataloader = dict(dataset=dict(pipeline=resize_steps(_base_.val_pipeline, small_size)))
test_dataloader = val_dataloader

train_cfg = dict(val_interval=16)
default_hooks = dict(
    checkpoint=dict(interval=16, max_keep_ckpts=1),
    training_stages=dict(schedule=dict(finish=dict(pipeline=resize_steps(_base_.finish_pipeline, small_size)))),
)
