"""RTMO-s on your own keypoints and classes, for 1 GPU x 16 images; AP depends on the data.  Guide: docs/custom-data.md.

python tools/train.py configs/rtmo-s_custom.py
"""

_base_ = ["_base_/runtime.py", "_base_/sizes/s.py", "_base_/data/custom.py"]

train_dataloader = dict(batch_size=16)
# Names, classes, flip pairs and skeleton are those of the annotation file.  Sigmas can be given, a list of K, and
# known_set, such as "halpe26", for files whose keypoints have no names.
model = dict(head=dict(keypoints=dict(_delete_=True, from_data=True, sigmas=None, known_set=None)))
# The official rate, 4e-3 for 256 images per step, for 16.
optim_wrapper = dict(optimizer=dict(lr=2.5e-4))
auto_scale_lr = dict(base_batch_size=16)

# An average over 500 steps, which it reaches after 2,000: COCO's of 5,000 steps is longer than some of these runs.
ema = dict(momentum=2e-3, gamma=300)
custom_hooks = [dict(each, **(ema if each["type"] == "EMAHook" else {})) for each in _base_.custom_hooks]
