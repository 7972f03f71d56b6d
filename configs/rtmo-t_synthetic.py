"""RTMO-t on synthetic people, for 2 CPU cores and ten minutes.  No AP is published: `make demo` prints its own.

python tools/train.py configs/rtmo-t_synthetic.py
"""

_base_ = ["_base_/runtime.py", "_base_/sizes/t.py", "_base_/data/synthetic.py"]

train_dataloader = dict(batch_size=16)
# From random weights, at the images' own size.
model = dict(data_preprocessor=dict(batch_augments=None), backbone=dict(init_cfg=None))
# For 16 images a step.
optim_wrapper = dict(optimizer=dict(lr=1e-3))
auto_scale_lr = dict(base_batch_size=16)
