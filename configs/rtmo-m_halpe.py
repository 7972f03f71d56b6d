"""RTMO-m on Halpe's 136 keypoints, for 16 GPUs x 16 images.  AP: not measured.

python tools/train.py configs/rtmo-m_halpe.py
"""

_base_ = ["_base_/runtime.py", "_base_/sizes/m.py", "_base_/data/halpe.py"]

train_dataloader = dict(batch_size=16)
# As on COCO, m starts with little MLE; refine doubles the class weight, its target the OKS itself.
model = dict(
    head=dict(
        keypoints="halpe",
        stages=dict(
            warmup=dict(weights=dict(mle=1e-2)),
            refine=dict(weights=dict(cls=2.0), class_target_power=1.0),
        ),
    )
)
