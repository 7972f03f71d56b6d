"""body7: seven data sets mapped to COCO's 17 keypoints, 600 epochs; `finish` and evaluation use COCO only."""

_base_ = ["./coco.py", "./body7_sources.py"]

# Per source: pairs of (index in the source, index in COCO).
to_coco = dict(
    coco=[(i, i) for i in range(17)],
    aic=list(enumerate([6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15])),
    crowdpose=list(enumerate(range(5, 17))),
    mpii=[*enumerate([16, 14, 12, 11, 13, 15]), *enumerate([10, 8, 6, 5, 7, 9], start=10)],
    jhmdb=list(enumerate([6, 5, 12, 11, 8, 7, 14, 13, 10, 9, 16, 15], start=3)),
    halpe=[(i, i) for i in range(17)],
    posetrack=[(i, i) for i in range(17) if i not in (1, 2)],  # 1 and 2 are head points, not eyes
)

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type="CombinedDataset",
        metainfo=dict(from_file="configs/_base_/datasets/coco.py"),  # a path inside MMPose
        datasets=[
            dict(
                source,
                data_root=_base_.data_root,
                data_mode="bottomup",
                pipeline=[dict(type="KeypointConverter", num_keypoints=17, mapping=to_coco[name])],
            )
            for name, source in _base_.body7_sources.items()
        ],
        sample_ratio_factor=[1, 0.3, 0.5, 0.3, 0.3, 0.4, 0.3],
        test_mode=False,
        pipeline=_base_.warmup_pipeline,
    )
)
default_hooks = dict(
    training_stages=dict(
        schedule=dict(
            finish=dict(dataset=dict(_base_.body7_sources.coco, data_root=_base_.data_root, data_mode="bottomup"))
        )
    )
)
del to_coco  # only for reading this file
