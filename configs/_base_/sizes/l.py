"""RTMO-l: full width and depth."""

_base_ = "./s.py"

model = dict(
    backbone=dict(
        widen_factor=1.0,
        deepen_factor=1.0,
        init_cfg=dict(
            checkpoint="https://download.openmmlab.com/mmdetection/v2.0/yolox/yolox_l_8x8_300e_coco/"
            "yolox_l_8x8_300e_coco_20211126_140236-d3bd2b23.pth"
        ),
    ),
    neck=dict(widen_factor=1.0, deepen_factor=1.0),
    head=dict(widen_factor=1.0),
)
