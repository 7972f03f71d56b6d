"""Ablations on few images: RTMO-t, trained on synthetic people, goes on with harder ones of whom there are few.

These bend more, hide one another and are cut off more often, and stand before more things; images have 128 pixels.
The weights to start from are those of `--transfer-from`; a study sets `train_dataloader.dataset.num_images`.
"""

_base_ = ["./small_synthetic.py"]

people = dict(num_people=(1, 5), height_range=(0.4, 0.95), occlusion=0.4, truncation=0.15, clutter=0.5, motion=0.8)
train_dataloader = dict(dataset=dict(seed=2, **people))
val_dataloader = dict(dataset=dict(seed=3, **people))
test_dataloader = val_dataloader

train_cfg = dict(max_epochs=16, val_interval=16)
# Learned weights need fewer steps than random ones, and smaller ones.
optim_wrapper = dict(optimizer=dict(lr=7.5e-4))
param_scheduler = [
    dict(type="QuadraticWarmupLR", by_epoch=True, begin=0, end=1, convert_to_iter_based=True),
    dict(type="CosineAnnealingLR", eta_min=2e-5, begin=1, end=16, T_max=15, by_epoch=True, convert_to_iter_based=True),
]
default_hooks = dict(
    checkpoint=dict(interval=16, max_keep_ckpts=1),
    training_stages=dict(schedule=dict(refine=dict(begin=4), finish=dict(begin=13))),
)
