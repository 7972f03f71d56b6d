"""RTMO-t: narrower, and trained at smaller sizes (its pipelines: `pipelines/416.py`)."""

_base_ = "./s.py"

model = dict(
    data_preprocessor=dict(
        batch_augments=[
            dict(type="rtmo_plugin.BatchRandomResize", random_size_range=(320, 640), size_divisor=32, interval=1)
        ]
    ),
    backbone=dict(
        widen_factor=0.375,
        init_cfg=dict(
            checkpoint="https://download.openmmlab.com/mmdetection/v2.0/yolox/yolox_tiny_8x8_300e_coco/"
            "yolox_tiny_8x8_300e_coco_20211124_171234-b4047906.pth"
        ),
    ),
    neck=dict(widen_factor=0.375),
    head=dict(widen_factor=0.375),
)
