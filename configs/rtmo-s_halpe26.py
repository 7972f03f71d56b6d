"""RTMO-s on Halpe's 26 keypoints of body and feet, for 8 GPUs x 32 images.  AP: not measured.

python tools/train.py configs/rtmo-s_halpe26.py
"""

_base_ = ["_base_/runtime.py", "_base_/sizes/s.py", "_base_/data/halpe26.py"]

train_dataloader = dict(batch_size=32)
# Candidate priors surround the middle of the box: the mean of so many keypoints is near the face or the feet.
model = dict(head=dict(keypoints="halpe26"))
