"""RTMO-s on COCO, evaluated on OCHuman, for 8 GPUs x 32 images.  AP: not measured.

python tools/train.py configs/rtmo-s_ochuman.py
"""

_base_ = ["_base_/runtime.py", "_base_/sizes/s.py", "_base_/data/ochuman.py"]

train_dataloader = dict(batch_size=32)
# Only s on COCO and s, t on body7: candidate priors surround the mean of the visible keypoints.
model = dict(head=dict(assigner=dict(center="keypoints")))
