"""The 640-pixel transforms with a stronger affine and mixup before `finish`, for CrowdPose alone."""

_base_ = "./640.py"

crowd_warmup_pipeline = [
    *_base_.warmup_pipeline[:2],
    dict(_base_.warmup_pipeline[2], shift_factor=0.2, rotate_factor=30, scale_factor=(0.5, 1.5)),
    dict(_base_.warmup_pipeline[3], ratio_range=(0.6, 1.6)),
    *_base_.warmup_pipeline[4:],
]
