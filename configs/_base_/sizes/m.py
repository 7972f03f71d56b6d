"""RTMO-m: wider and deeper."""

_base_ = "./s.py"

model = dict(
    backbone=dict(
        widen_factor=0.75,
        deepen_factor=0.67,
        init_cfg=dict(
            checkpoint="https://download.openmmlab.com/mmpose/v1/pretrained_models/yolox_m_8x8_300e_coco_20230829.pth"
        ),
    ),
    neck=dict(widen_factor=0.75, deepen_factor=0.67),
    head=dict(widen_factor=0.75),
)
