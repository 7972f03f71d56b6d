"""Synthetic people: drawn when they are asked for, nothing on disk; held-out images are of another seed."""

_base_ = ["./loaders.py", "../schedules/synthetic.py"]

input_size = (192, 192)
# Easier than the default people, for what ten minutes can teach: fewer, larger, hidden less often,
# and all of them face the camera, so that left and right need not be told from faces first.
scenes = dict(
    size_wh=input_size,
    num_people=(0, 4),
    height_range=(0.35, 0.95),
    occlusion=0.2,
    truncation=0.1,
    clutter=0.3,
    turned=0.0,
)
codec = dict(type="YOLOXPoseAnnotationProcessor", input_size=input_size)

warmup_pipeline = [
    dict(type="rtmo_plugin.DrawSyntheticImage"),
    dict(
        type="BottomupRandomAffine",
        input_size=input_size,
        shift_factor=0.1,
        rotate_factor=10,
        scale_factor=(0.75, 1.25),
        pad_val=114,
        distribution="uniform",
        transform_mode="perspective",
        bbox_keep_corner=False,
        clip_border=True,
    ),
    dict(type="YOLOXHSVRandomAug"),
    dict(type="RandomFlip"),
    dict(type="FilterAnnotations", by_kpt=True, by_box=True, keep_empty=False),
    dict(type="GenerateTarget", encoder=codec),
    dict(type="PackPoseInputs"),
]

finish_pipeline = [
    dict(type="rtmo_plugin.DrawSyntheticImage"),
    dict(
        type="BottomupRandomAffine",
        input_size=input_size,
        shift_prob=0.0,
        rotate_prob=0.0,
        scale_prob=0.0,
        scale_type="long",
        pad_val=(114, 114, 114),
        bbox_keep_corner=False,
        clip_border=True,
    ),
    dict(type="RandomFlip"),
    dict(type="BottomupGetHeatmapMask", get_invalid=True),
    dict(type="FilterAnnotations", by_kpt=True, by_box=True, keep_empty=False),
    dict(type="GenerateTarget", encoder=codec),
    dict(type="PackPoseInputs"),
]

val_pipeline = [
    dict(type="rtmo_plugin.DrawSyntheticImage"),
    dict(type="BottomupResize", input_size=input_size, pad_val=(114, 114, 114)),
    dict(
        type="PackPoseInputs",
        # With `raw_ann_info` the metric needs no annotation file.
        meta_keys=(
            "id",
            "img_id",
            "img_path",
            "ori_shape",
            "img_shape",
            "input_size",
            "input_center",
            "input_scale",
            "raw_ann_info",
        ),
    ),
]

train_dataloader = dict(
    num_workers=1,
    pin_memory=False,
    dataset=dict(
        type="rtmo_plugin.SyntheticPeople",
        num_images=2500,
        seed=0,
        **scenes,
        cache=True,
        data_mode="bottomup",
        pipeline=warmup_pipeline,
    ),
)
default_hooks = dict(training_stages=dict(schedule=dict(finish=dict(pipeline=finish_pipeline))))

val_dataloader = dict(
    num_workers=1,
    pin_memory=False,
    dataset=dict(
        type="rtmo_plugin.SyntheticPeople",
        num_images=200,
        seed=1,
        **scenes,
        cache=True,
        data_mode="bottomup",
        test_mode=True,
        pipeline=val_pipeline,
    ),
)
test_dataloader = val_dataloader

val_evaluator = dict(type="CocoMetric", score_mode="bbox", nms_mode="none")
test_evaluator = val_evaluator
