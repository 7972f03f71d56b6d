"""A few epochs, for machines without a GPU."""

_base_ = "./600e.py"

train_cfg = dict(max_epochs=6, val_interval=3)

param_scheduler = [
    dict(type="QuadraticWarmupLR", by_epoch=True, begin=0, end=1, convert_to_iter_based=True),
    dict(
        type="CosineAnnealingLR",
        eta_min=4e-5,
        begin=1,
        end=6,
        T_max=5,
        by_epoch=True,
        convert_to_iter_based=True,
    ),
]

default_hooks = dict(
    logger=dict(interval=20),
    checkpoint=dict(interval=3),
    training_stages=dict(schedule=dict(refine=dict(begin=2), finish=dict(begin=4))),
)
