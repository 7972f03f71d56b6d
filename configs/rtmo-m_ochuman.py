"""RTMO-m on COCO, evaluated on OCHuman, for 16 GPUs x 16 images.  AP: not measured.

python tools/train.py configs/rtmo-m_ochuman.py
"""

_base_ = ["_base_/runtime.py", "_base_/sizes/m.py", "_base_/data/ochuman.py"]

train_dataloader = dict(batch_size=16)
# m and l start with little MLE; refine doubles the class weight, its target the OKS itself.
model = dict(
    head=dict(
        stages=dict(
            warmup=dict(weights=dict(mle=1e-2)),
            refine=dict(weights=dict(cls=2.0), class_target_power=1.0),
        )
    )
)
# m and l on COCO and body7 keep the affine's random shift, rotation and scale in finish.
default_hooks = dict(training_stages=dict(schedule=dict(finish=dict(pipeline=_base_.moving_finish_pipeline))))
