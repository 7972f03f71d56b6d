"""600 epochs (COCO, body7): every epoch number, and so every hook that has one.

`default_hooks` stands whole in this file because two base files may not share a top-level key.
"""

train_cfg = dict(by_epoch=True, max_epochs=600, val_interval=20, dynamic_intervals=[(580, 1)])

param_scheduler = [
    dict(type="QuadraticWarmupLR", by_epoch=True, begin=0, end=5, convert_to_iter_based=True),
    dict(
        type="CosineAnnealingLR",
        eta_min=2e-4,
        begin=5,
        end=280,
        T_max=280,
        by_epoch=True,
        convert_to_iter_based=True,
    ),
    # The refine stage has other losses: lift the rate from 2e-4 to 5e-4 once, then anneal again.
    dict(type="ConstantLR", by_epoch=True, factor=2.5, begin=280, end=281),
    dict(
        type="CosineAnnealingLR",
        eta_min=2e-4,
        begin=281,
        end=580,
        T_max=300,
        by_epoch=True,
        convert_to_iter_based=True,
    ),
    dict(type="ConstantLR", by_epoch=True, factor=1, begin=580, end=600),
]

default_hooks = dict(
    timer=dict(type="IterTimerHook"),
    logger=dict(type="LoggerHook", interval=50),
    param_scheduler=dict(type="ParamSchedulerHook"),
    checkpoint=dict(type="CheckpointHook", interval=40, max_keep_ckpts=3),
    sampler_seed=dict(type="DistSamplerSeedHook"),
    visualization=dict(type="PoseVisualizationHook", enable=False),
    badcase=dict(type="BadCaseAnalysisHook", enable=False, out_dir="badcase", metric_type="loss", badcase_thr=5),
    # What a stage changes in the loss: rtmo_plugin/models/heads/stages.py, and model.head.stages where it differs.
    # The data files add what `finish` trains on.
    training_stages=dict(
        type="rtmo_plugin.TrainingStageHook",
        schedule=dict(warmup=dict(begin=0), refine=dict(begin=280), finish=dict(begin=580)),
        priority=48,
    ),
)
