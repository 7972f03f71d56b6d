"""RTMO-t's transforms: 416 x 416 pixels, no mixup.  A leaf lists this file and puts them in place.

The names differ from those of `640.py` because two base files may not share a top-level key.
"""

small_input_size = (416, 416)
small_codec = dict(type="YOLOXPoseAnnotationProcessor", input_size=small_input_size)

small_warmup_pipeline = [
    dict(type="rtmo_plugin.LoadImage"),
    dict(
        type="rtmo_plugin.Mosaic",
        img_scale=small_input_size,
        pad_val=114.0,
        pre_transform=[dict(type="rtmo_plugin.LoadImage")],
    ),
    dict(
        type="rtmo_plugin.BottomupRandomAffine",
        input_size=small_input_size,
        shift_factor=0.1,
        rotate_factor=10,
        scale_factor=(0.75, 1.0),
        pad_val=114,
    ),
    dict(type="rtmo_plugin.YOLOXHSVRandomAug"),
    dict(type="rtmo_plugin.RandomFlip"),
    dict(type="FilterAnnotations", by_kpt=True, by_box=True, keep_empty=False),
    dict(type="GenerateTarget", encoder=small_codec),
    dict(type="rtmo_plugin.PackPoseInputs"),
]

small_finish_pipeline = [
    dict(type="rtmo_plugin.LoadImage"),
    dict(
        type="BottomupRandomAffine",
        input_size=small_input_size,
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
    dict(type="GenerateTarget", encoder=small_codec),
    dict(type="PackPoseInputs"),
]

small_val_pipeline = [
    dict(type="rtmo_plugin.LoadImage"),
    dict(type="BottomupResize", input_size=small_input_size, pad_val=(114, 114, 114)),
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
