"""The first 26 keypoints of Halpe Full-Body: body, head, neck, hip and feet.  The files are those of Halpe's 136."""

_base_ = "./halpe.py"

to_halpe26 = [(i, i) for i in range(26)]  # pairs of (index in Halpe, index in Halpe26)
converter = [dict(type="KeypointConverter", num_keypoints=26, mapping=to_halpe26)]

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type="CombinedDataset",
        metainfo=dict(from_file="configs/_base_/datasets/halpe26.py"),  # a path inside MMPose
        datasets=[
            dict(
                type="HalpeDataset",
                data_root=_base_.data_root,
                data_mode="bottomup",
                ann_file="halpe/annotations/halpe_train_v1.json",
                data_prefix=dict(img="pose/Halpe/hico_20160224_det/images/train2015/"),
                pipeline=converter,
            )
        ],
        pipeline=_base_.warmup_pipeline,
    )
)
val_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type="CombinedDataset",
        metainfo=dict(from_file="configs/_base_/datasets/halpe26.py"),
        datasets=[
            dict(
                type="HalpeDataset",
                data_root=_base_.data_root,
                data_mode="bottomup",
                ann_file="halpe/annotations/halpe_val_v1.json",
                data_prefix=dict(img="coco/val2017/"),
                test_mode=True,
                pipeline=converter,
            )
        ],
        test_mode=True,
        pipeline=_base_.val_pipeline,
    )
)
test_dataloader = val_dataloader

val_evaluator = dict(gt_converter=dict(num_keypoints=26, mapping=to_halpe26))
test_evaluator = val_evaluator
del to_halpe26, converter  # only for reading this file
