"""RTMO-t on COCO, for 8 GPUs x 32 images.  No AP is published: MMPose has t on body7 only.

python tools/train.py configs/rtmo-t_coco.py
"""

_base_ = ["_base_/runtime.py", "_base_/sizes/t.py", "_base_/data/coco.py", "_base_/pipelines/416.py"]

train_dataloader = dict(batch_size=32, dataset=dict(pipeline=_base_.small_warmup_pipeline))
# t sees 416 pixels and no mixup.
val_dataloader = dict(dataset=dict(pipeline=_base_.small_val_pipeline))
test_dataloader = val_dataloader
default_hooks = dict(training_stages=dict(schedule=dict(finish=dict(pipeline=_base_.small_finish_pipeline))))
# As t on body7: candidate priors surround the mean of the visible keypoints.
model = dict(head=dict(assigner=dict(center="keypoints")))
