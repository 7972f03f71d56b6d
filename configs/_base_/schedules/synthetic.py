"""A few epochs, for machines without a GPU."""

_base_ = "./600e.py"

train_cfg = dict(max_epochs=12, val_interval=4, dynamic_intervals=[(10, 1)])

param_scheduler = [
    dict(type="QuadraticWarmupLR", by_epoch=True, begin=0, end=1, convert_to_iter_based=True),
    dict(
        type="CosineAnnealingLR",
        eta_min=1e-4,
        begin=1,
        end=12,
        T_max=11,
        by_epoch=True,
        convert_to_iter_based=True,
    ),
]

default_hooks = dict(
    logger=dict(interval=20),
    checkpoint=dict(interval=4),
    training_stages=dict(schedule=dict(refine=dict(begin=5), finish=dict(begin=10))),
)
