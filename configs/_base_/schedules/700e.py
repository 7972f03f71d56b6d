"""700 epochs (CrowdPose, body7-crowdpose): the epoch numbers that differ from 600e."""

_base_ = "./600e.py"

train_cfg = dict(max_epochs=700, val_interval=50, dynamic_intervals=[(670, 1)])

param_scheduler = [
    dict(type="QuadraticWarmupLR", by_epoch=True, begin=0, end=5, convert_to_iter_based=True),
    dict(
        type="CosineAnnealingLR",
        eta_min=2e-4,
        begin=5,
        end=349,
        T_max=350,
        by_epoch=True,
        convert_to_iter_based=True,
    ),
    # From 2e-4 to 5e-4, one epoch before the refine stage begins (as published).
    dict(type="ConstantLR", by_epoch=True, factor=2.5, begin=349, end=350),
    dict(
        type="CosineAnnealingLR",
        eta_min=2e-4,
        begin=350,
        end=670,
        T_max=320,
        by_epoch=True,
        convert_to_iter_based=True,
    ),
    dict(type="ConstantLR", by_epoch=True, factor=1, begin=670, end=700),
]

default_hooks = dict(
    checkpoint=dict(interval=50),
    training_stages=dict(schedule=dict(refine=dict(begin=350), finish=dict(begin=670))),
)
