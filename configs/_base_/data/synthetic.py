"""Synthetic people: drawn when they are asked for, nothing on disk; held-out images are of another seed."""

_base_ = ["./loaders.py", "../schedules/synthetic.py"]

input_size = (192, 192)
# Easier than the default people, for what ten minutes can teach: fewer, larger, hidden less often,
# in calmer poses, and facing the camera, so that left and right need not be told from faces first.
scenes = dict(
    size_wh=input_size,
    num_people=(0, 4),
    height_range=(0.35, 0.95),
    occlusion=0.2,
    truncation=0.1,
    clutter=0.3,
    turned=0.0,
    motion=0.6,
)
codec = dict(type="YOLOXPoseAnnotationProcessor", input_size=input_size)

warmup_pipeline = [
    dict(type="rtmo_plugin.DrawSyntheticImage"),
    dict(
        type="BottomupRandomAffine",
        input_size=input_size,
        shift_factor=0.1,
        rotate_factor=5,
        scale_factor=(0.85, 1.2),
        pad_val=114,
        distribution="uniform",
        transform_mode="affine",
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

# Drawing, 3 ms per image, costs less than handing batches over from another process.
in_this_process = dict(num_workers=0, persistent_workers=False, pin_memory=False)
train_dataloader = dict(
    **in_this_process,
    dataset=dict(
        type="rtmo_plugin.SyntheticPeople",
        num_images=2800,
        seed=0,
        # More people than in the held-out images: each step has more to learn from.
        **{**scenes, "num_people": (2, 6)},
        cache=True,
        data_mode="bottomup",
        pipeline=warmup_pipeline,
    ),
)
default_hooks = dict(training_stages=dict(schedule=dict(finish=dict(pipeline=finish_pipeline))))

val_dataloader = dict(
    batch_size=8,
    **in_this_process,
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

val_evaluator = dict(type="rtmo_plugin.CocoMetric", score_mode="bbox", nms_mode="none")
test_evaluator = val_evaluator
