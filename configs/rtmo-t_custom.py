"""RTMO-t on small images with your own keypoints and classes, for 2 CPU cores and minutes; AP depends on the data.

python tools/train.py configs/rtmo-t_custom.py --amp
"""

_base_ = ["_base_/runtime_short.py", "_base_/sizes/t_short.py", "_base_/data/custom_small.py"]

train_dataloader = dict(batch_size=8)
model = dict(head=dict(keypoints=dict(_delete_=True, from_data=True, sigmas=None, known_set=None)))
optim_wrapper = dict(optimizer=dict(lr=2e-3))
auto_scale_lr = dict(base_batch_size=8)
