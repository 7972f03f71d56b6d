"""RTMO-m on CrowdPose, for 16 GPUs x 16 images.  AP on CrowdPose test: 71.1 (MMPose's published figure).

python tools/train.py configs/rtmo-m_crowdpose.py
"""

_base_ = ["_base_/runtime.py", "_base_/sizes/m.py", "_base_/data/crowdpose.py"]

train_dataloader = dict(batch_size=16)
# CrowdPose starts with little MLE; refine doubles the class weight, its target the OKS itself.
model = dict(
    head=dict(
        keypoints="crowdpose",
        stages=dict(
            warmup=dict(weights=dict(mle=1e-3)),
            refine=dict(weights=dict(cls=2.0), class_target_power=1.0),
        ),
    )
)
