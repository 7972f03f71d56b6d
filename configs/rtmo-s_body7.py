"""RTMO-s on body7, for 8 GPUs x 32 images.  AP on COCO val2017: 68.6 (MMPose's published figure).

python tools/train.py configs/rtmo-s_body7.py
"""

_base_ = ["_base_/runtime.py", "_base_/sizes/s.py", "_base_/data/body7.py"]

train_dataloader = dict(batch_size=32)
# Only s on COCO and s, t on body7: candidate priors surround the mean of the visible keypoints.
model = dict(head=dict(assigner=dict(center="keypoints")))
