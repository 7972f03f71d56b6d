"""OCHuman, 17 keypoints of people who hide one another: for evaluation only, of models trained on COCO."""

_base_ = "./coco.py"

val_dataloader = dict(
    dataset=dict(
        type="OCHumanDataset",
        ann_file="ochuman/annotations/ochuman_coco_format_val_range_0.00_1.00.json",
        data_prefix=dict(img="ochuman/images/"),
    )
)
test_dataloader = val_dataloader

val_evaluator = dict(
    ann_file=_base_.data_root + "ochuman/annotations/ochuman_coco_format_val_range_0.00_1.00.json",
    prefix="ochuman",
)
test_evaluator = val_evaluator
