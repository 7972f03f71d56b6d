"""RTMO-t fitted to 32 COCO images and tested on the same, for 2 CPU cores: the AP of learning real images by heart.

python tools/train.py configs/rtmo-t_fit32.py --amp
"""

_base_ = ["_base_/runtime_short.py", "_base_/sizes/t_short.py", "_base_/data/fit32.py"]

train_dataloader = dict(batch_size=8)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
