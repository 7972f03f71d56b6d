"""Small images of any COCO keypoint file, for minutes of training without a GPU: 192 x 192, no mosaic, no mixup."""

_base_ = ["./custom.py"]

input_size = (192, 192)
codec = dict(type="YOLOXPoseAnnotationProcessor", input_size=input_size)
affine = dict(type="BottomupRandomAffine", input_size=input_size, pad_val=114, bbox_keep_corner=False, clip_border=True)
targets = [
    dict(type="FilterAnnotations", by_kpt=True, by_box=True, keep_empty=False),
    dict(type="GenerateTarget", encoder=codec),
    dict(type="PackPoseInputs"),
]
warmup_pipeline = [
    dict(type="rtmo_plugin.LoadImage"),
    dict(
        affine,
        shift_factor=0.1,
        rotate_factor=10,
        scale_factor=(0.75, 1.25),
        distribution="uniform",
        transform_mode="affine",
    ),
    dict(type="YOLOXHSVRandomAug"),
    dict(type="RandomFlip"),
    *targets,
]
finish_pipeline = [
    dict(type="rtmo_plugin.LoadImage"),
    dict(affine, shift_prob=0.0, rotate_prob=0.0, scale_prob=0.0, scale_type="long"),
    dict(type="RandomFlip"),
    dict(type="BottomupGetHeatmapMask", get_invalid=True),
    *targets,
]
val_pipeline = [
    dict(type="rtmo_plugin.LoadImage"),
    dict(type="BottomupResize", input_size=input_size, pad_val=(114, 114, 114)),
    _base_.val_pipeline[2],
]

train_cfg = dict(max_epochs=16, val_interval=8, dynamic_intervals=None)
in_this_process = dict(num_workers=0, persistent_workers=False, pin_memory=False)
train_dataloader = dict(**in_this_process, dataset=dict(pipeline=warmup_pipeline))
val_dataloader = dict(**in_this_process, batch_size=8, dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader
param_scheduler = [
    dict(type="QuadraticWarmupLR", by_epoch=True, begin=0, end=2, convert_to_iter_based=True),
    dict(type="CosineAnnealingLR", eta_min=4e-5, begin=2, end=16, T_max=14, by_epoch=True, convert_to_iter_based=True),
]
default_hooks = dict(
    logger=dict(interval=20),
    checkpoint=dict(interval=8),
    training_stages=dict(schedule=dict(refine=dict(begin=6), finish=dict(begin=13, pipeline=finish_pipeline))),
)
