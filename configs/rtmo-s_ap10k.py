"""RTMO-s on AP-10K's animals, a class for each species, for 1 GPU x 16 images.  AP: not measured.

python tools/train.py configs/rtmo-s_ap10k.py
"""

_base_ = ["_base_/runtime.py", "_base_/sizes/s.py", "_base_/data/ap10k.py"]

train_dataloader = dict(batch_size=16)
# Species and keypoint names are those of the annotation file, sigmas those of MMPose's set.
model = dict(head=dict(keypoints=dict(_delete_=True, from_data=True, sigmas=None, known_set="ap10k")))
# The official rate, 4e-3 for 256 images per step, for 16.
optim_wrapper = dict(optimizer=dict(lr=2.5e-4))
auto_scale_lr = dict(base_batch_size=16)
