"""100 epochs, at the rate of 16 images per step: the shape of 600e for a set of hundreds or thousands of images."""

_base_ = "./600e.py"

train_cfg = dict(max_epochs=100, val_interval=10, dynamic_intervals=[(90, 2)])

param_scheduler = [
    dict(type="QuadraticWarmupLR", by_epoch=True, begin=0, end=3, convert_to_iter_based=True),
    dict(
        type="CosineAnnealingLR",
        eta_min=1.25e-5,
        begin=3,
        end=50,
        T_max=47,
        by_epoch=True,
        convert_to_iter_based=True,
    ),
    # The refine stage has other losses: lift the rate once, as in 600e, then anneal again.
    dict(type="ConstantLR", by_epoch=True, factor=2.5, begin=50, end=51),
    dict(
        type="CosineAnnealingLR",
        eta_min=1.25e-5,
        begin=51,
        end=90,
        T_max=39,
        by_epoch=True,
        convert_to_iter_based=True,
    ),
    dict(type="ConstantLR", by_epoch=True, factor=1, begin=90, end=100),
]

default_hooks = dict(
    checkpoint=dict(interval=10),
    training_stages=dict(schedule=dict(refine=dict(begin=50), finish=dict(begin=90))),
)
