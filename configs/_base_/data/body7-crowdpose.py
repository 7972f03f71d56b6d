"""body7 mapped to CrowdPose's 14 keypoints, 700 epochs; `finish` and evaluation use CrowdPose only."""

_base_ = ["./crowdpose.py", "./body7_sources.py"]

# Per source: pairs of (index in the source, index in CrowdPose); the last two are head top and neck.
to_crowdpose = dict(
    coco=[(i + 5, i) for i in range(12)],
    aic=[(source, i) for i, source in enumerate([3, 0, 4, 1, 5, 2, 9, 6, 10, 7, 11, 8, 12, 13])],
    crowdpose=[(i, i) for i in range(14)],
    mpii=[(source, i) for i, source in enumerate([13, 12, 14, 11, 15, 10, 3, 2, 4, 1, 5, 0, 9, 7])],
    jhmdb=[(source, i) for i, source in enumerate([4, 3, 8, 7, 12, 11, 6, 5, 10, 9, 14, 13, 2, 0])],
    halpe=[(i + 5, i) for i in range(12)],
    posetrack=[*((i + 5, i) for i in range(12)), (2, 12), (1, 13)],
)

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type="CombinedDataset",
        metainfo=dict(from_file="configs/_base_/datasets/crowdpose.py"),  # a path inside MMPose
        datasets=[
            dict(
                source,
                data_root=_base_.data_root,
                data_mode="bottomup",
                pipeline=[dict(type="KeypointConverter", num_keypoints=14, mapping=to_crowdpose[name])],
            )
            for name, source in _base_.body7_sources.items()
        ],
        sample_ratio_factor=[1, 0.3, 1, 0.3, 0.3, 0.4, 0.3],
        test_mode=False,
        # As published: the affine and mixup of COCO, not the stronger ones of CrowdPose alone.
        pipeline=_base_.warmup_pipeline,
    )
)
default_hooks = dict(
    training_stages=dict(
        schedule=dict(
            finish=dict(dataset=dict(_base_.body7_sources.crowdpose, data_root=_base_.data_root, data_mode="bottomup"))
        )
    )
)
del to_crowdpose  # only for reading this file
