"""Transforms for 640 x 640 pixels.  Mosaic and mixup belong to the stages before `finish`."""

input_size = (640, 640)
codec = dict(type="YOLOXPoseAnnotationProcessor", input_size=input_size)

# MMPose's transforms of these names: the same samples from the same random numbers, sooner.
warmup_pipeline = [
    dict(type="rtmo_plugin.LoadImage"),
    dict(
        type="rtmo_plugin.Mosaic",
        img_scale=input_size,
        pad_val=114.0,
        pre_transform=[dict(type="rtmo_plugin.LoadImage")],
    ),
    dict(
        type="rtmo_plugin.BottomupRandomAffine",
        input_size=input_size,
        shift_factor=0.1,
        rotate_factor=10,
        scale_factor=(0.75, 1.0),
        pad_val=114,
    ),
    dict(
        type="rtmo_plugin.YOLOXMixUp",
        img_scale=input_size,
        ratio_range=(0.8, 1.6),
        pad_val=114.0,
        pre_transform=[dict(type="rtmo_plugin.LoadImage")],
    ),
    dict(type="rtmo_plugin.YOLOXHSVRandomAug"),
    dict(type="rtmo_plugin.RandomFlip"),
    dict(type="FilterAnnotations", by_kpt=True, by_box=True, keep_empty=False),
    dict(type="GenerateTarget", encoder=codec),
    dict(type="rtmo_plugin.PackPoseInputs"),
]

finish_pipeline = [
    dict(type="rtmo_plugin.LoadImage"),
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
    dict(type="YOLOXHSVRandomAug"),
    dict(type="RandomFlip"),
    dict(type="BottomupGetHeatmapMask", get_invalid=True),
    dict(type="FilterAnnotations", by_kpt=True, by_box=True, keep_empty=False),
    dict(type="GenerateTarget", encoder=codec),
    dict(type="PackPoseInputs"),
]

# The same, with the affine's random shift, rotation and scale left on.
moving_finish_pipeline = [
    finish_pipeline[0],
    dict(finish_pipeline[1], shift_prob=1.0, rotate_prob=1.0, scale_prob=1.0),
    *finish_pipeline[2:],
]

val_pipeline = [
    dict(type="rtmo_plugin.LoadImage"),
    dict(type="BottomupResize", input_size=input_size, pad_val=(114, 114, 114)),
    dict(
        type="PackPoseInputs",
        meta_keys=(
            "id",
            "img_id",
            "img_path",
            "ori_shape",
            "img_shape",
            "input_size",
            "input_center",
            "input_scale",
        ),
    ),
]
