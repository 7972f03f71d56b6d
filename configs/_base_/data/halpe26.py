"""The first 26 keypoints of Halpe Full-Body: body, head, neck, hip and feet.  The files are those of Halpe's 136."""

_base_ = "./halpe.py"

to_halpe26 = [(i, i) for i in range(26)]  # pairs of (index in Halpe, index in Halpe26)
converter = [dict(type="KeypointConverter", num_keypoints=26, mapping=to_halpe26)]
combined = dict(
    _delete_=True,
    type="CombinedDataset",
    metainfo=dict(from_file="configs/_base_/datasets/halpe26.py"),  # a path inside MMPose
)

train_dataloader = dict(
    dataset=dict(
        combined,
        datasets=[dict(_base_.train_dataloader.dataset, pipeline=converter)],
        pipeline=_base_.warmup_pipeline,
    )
)
val_dataloader = dict(
    dataset=dict(
        combined,
        datasets=[dict(_base_.val_dataloader.dataset, pipeline=converter)],
        test_mode=True,
        pipeline=_base_.val_pipeline,
    )
)
test_dataloader = val_dataloader

val_evaluator = dict(gt_converter=dict(num_keypoints=26, mapping=to_halpe26))
test_evaluator = val_evaluator
del to_halpe26, converter, combined  # only for reading this file
