"""The dataset gives MMPose what COCO would give it."""

import pickle

import mmpose.datasets  # noqa: F401  (registers the transforms)
import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.logging import MessageHub
from mmpose.datasets import CocoDataset
from mmpose.evaluation import CocoMetric
from mmpose.registry import DATASETS, TRANSFORMS
from torch.utils.data import DataLoader

from rtmo_plugin.data import SyntheticPeople, draw_image_at
from rtmo_plugin.errors import UserError

LOAD = {"type": "rtmo_plugin.DrawSyntheticImage"}
VAL_META = (
    "id", "img_id", "img_path", "ori_shape", "img_shape", "input_size", "input_center", "input_scale", "raw_ann_info",
)  # fmt: skip
SIZE_WH = (128, 96)


def make_codec(size_wh):
    return {"type": "YOLOXPoseAnnotationProcessor", "expand_bbox": True, "input_size": size_wh}


def list_train_transforms(size_wh):
    """Return RTMO's first pipeline, as in the official configs, at this size."""
    mix = {"img_scale": size_wh, "pad_val": 114.0, "pre_transform": [LOAD]}
    affine = {"input_size": size_wh, "shift_factor": 0.1, "rotate_factor": 10, "scale_factor": (0.75, 1.0)}
    perspective = {"distribution": "uniform", "transform_mode": "perspective", "bbox_keep_corner": False}
    return [
        LOAD,
        {"type": "Mosaic", **mix},
        {"type": "BottomupRandomAffine", **affine, **perspective, "pad_val": 114, "clip_border": True},
        {"type": "YOLOXMixUp", **mix, "ratio_range": (0.8, 1.6)},
        {"type": "YOLOXHSVRandomAug"},
        {"type": "RandomFlip"},
        {"type": "FilterAnnotations", "by_kpt": True, "by_box": True, "keep_empty": False},
        {"type": "GenerateTarget", "encoder": make_codec(size_wh)},
        {"type": "PackPoseInputs"},
    ]


def list_last_transforms(size_wh):
    """Return RTMO's last pipeline, without mosaic and mixup."""
    affine = {"type": "BottomupRandomAffine", "input_size": size_wh, "scale_type": "long", "pad_val": (114, 114, 114)}
    return [
        LOAD,
        {**affine, "bbox_keep_corner": False, "clip_border": True},
        {"type": "YOLOXHSVRandomAug"},
        {"type": "RandomFlip"},
        {"type": "BottomupGetHeatmapMask", "get_invalid": True},
        {"type": "FilterAnnotations", "by_kpt": True, "by_box": True, "keep_empty": False},
        {"type": "GenerateTarget", "encoder": make_codec(size_wh)},
        {"type": "PackPoseInputs"},
    ]


def list_val_transforms(size_wh):
    resize = {"type": "BottomupResize", "input_size": size_wh, "pad_val": (114, 114, 114)}
    return [LOAD, resize, {"type": "PackPoseInputs", "meta_keys": VAL_META}]


def make(num_images=12, pipeline=(LOAD,), **options):
    """Return a small dataset, built by its registered name."""
    config = {"type": "rtmo_plugin.SyntheticPeople", "num_images": num_images, "size_wh": SIZE_WH, "clutter": 0.2}
    return DATASETS.build({**config, "pipeline": list(pipeline), **options})


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"num_images": 0}, "num_images"),
        ({"num_images": 2.5}, "num_images"),
        ({"seed": -1}, "seed"),
        ({"size_wh": (10, 10)}, "size_wh"),
        ({"num_people": (0, 0)}, "num_people"),
        ({"data_mode": "sideways"}, "data_mode"),
    ],
)
def test_bad_arguments_are_named(options, named):
    with pytest.raises(ValueError, match=named) as caught:
        make(**options)
    assert isinstance(caught.value, UserError) or named == "data_mode"


def test_a_misspelt_option_is_refused():
    with pytest.raises(TypeError, match="cluter"):
        make(cluter=0.5)


def test_the_callers_lists_are_left_alone():
    options = {"size_wh": [64, 64], "num_people": [1, 2], "pipeline": [dict(LOAD)]}
    before = pickle.dumps(options)
    SyntheticPeople(2, **options)
    assert pickle.dumps(options) == before


def test_one_image_is_enough():
    dataset = make(num_images=1, num_people=(1, 1))
    assert len(dataset) == 1
    assert dataset[0]["img"].shape == (96, 128, 3)


def test_training_leaves_out_images_without_people_and_testing_keeps_them():
    num_empty = sum(not record["id"] for record in make(40, test_mode=True, num_people=(0, 1)))
    assert 1 <= num_empty < 40
    assert len(make(40, num_people=(0, 1))) == 40 - num_empty
    nobody = make(3, test_mode=True, num_people=(0, 0))
    assert [record["raw_ann_info"] for record in nobody] == [None] * 3


def test_a_longer_series_begins_with_the_shorter_one():
    short, long = make(4), make(8)
    for record in short:
        twin = next(other for other in long if other["img_id"] == record["img_id"])
        np.testing.assert_array_equal(record["img"], twin["img"])
        np.testing.assert_array_equal(record["keypoints"], twin["keypoints"])


def test_metainfo_is_cocos_apart_from_the_name():
    ours, theirs = dict(SyntheticPeople._load_metainfo()), dict(CocoDataset._load_metainfo())
    assert ours.pop("dataset_name") == "synthetic_people"
    assert theirs.pop("dataset_name") == "coco"
    assert ours.keys() == theirs.keys()
    for key, value in theirs.items():
        np.testing.assert_array_equal(ours[key], value, err_msg=key)


def describe(value):
    """Return type, dtype and the shape behind the number of people."""
    if isinstance(value, np.ndarray):
        return "array", value.dtype, value.shape[1:]
    return type(value), type(value[0]) if isinstance(value, list) and value else None


def test_records_look_like_those_of_real_coco(data_dir):
    """Same keys, types, dtypes and shapes; masks are run lengths here and mostly polygons there."""
    coco = CocoDataset(
        ann_file=str(data_dir / "coco/annotations/person_keypoints_val2017.json"), data_mode="bottomup", test_mode=True
    )
    theirs, ours = coco.get_data_info(0), make(num_people=(2, 4)).get_data_info(0)
    assert ours.keys() == theirs.keys()
    for key in ours.keys() - {"segmentation", "invalid_segs"}:
        assert describe(ours[key]) == describe(theirs[key]), key
    assert ours["raw_ann_info"][0].keys() == theirs["raw_ann_info"][0].keys()
    assert ours["invalid_segs"] == []


@pytest.mark.parametrize("size_wh", [(96, 96), (160, 96)])
@pytest.mark.parametrize("list_transforms", [list_train_transforms, list_last_transforms])
def test_official_training_pipelines_run_unchanged(list_transforms, size_wh):
    transforms = list_transforms(size_wh)
    if size_wh[0] != size_wh[1]:  # MMPose 1.3.2's RandomFlip takes input_size for (height, width)
        transforms = [transform for transform in transforms if transform["type"] != "RandomFlip"]
    dataset = make(pipeline=transforms, num_people=(1, 8), truncation=0.5)
    num_people = 0
    for index in range(len(dataset)):
        sample = dataset[index]
        assert sample["inputs"].shape == (3, size_wh[1], size_wh[0])
        labels = sample["data_samples"].gt_instance_labels
        num_people += len(labels.keypoints)
        is_seen = labels.keypoints_visible > 0
        assert (labels.keypoints[is_seen] >= -1).all()
        assert (labels.keypoints[is_seen] <= torch.tensor(size_wh) + 1).all()
    assert num_people > len(dataset)


def test_a_flip_swaps_the_sides_of_the_truth():
    record = make(num_people=(2, 2))[0]
    flip = TRANSFORMS.build({"type": "RandomFlip", "prob": 1.0})
    flipped = flip({**record, "keypoints": record["keypoints"].copy(), "bbox": record["bbox"].copy()})
    np.testing.assert_array_equal(flipped["img"], record["img"][:, ::-1])
    mirrored = record["keypoints"][:, record["flip_indices"]]
    visible = record["keypoints_visible"][:, record["flip_indices"]] > 0
    np.testing.assert_allclose(flipped["keypoints"][visible][:, 0], SIZE_WH[0] - 1 - mirrored[visible][:, 0], atol=1e-4)
    np.testing.assert_array_equal(flipped["keypoints"][visible][:, 1], mirrored[visible][:, 1])


def test_workers_and_the_cache_give_the_same_bytes():
    pipeline = [LOAD, {"type": "PackPoseInputs"}]
    alone = [sample["inputs"] for sample in make(pipeline=pipeline)]
    cached = make(pipeline=pipeline, cache=True)
    assert all(record is not None for record in cached._images.values())
    loader = DataLoader(make(pipeline=pipeline), batch_size=3, num_workers=2, collate_fn=pseudo_collate)
    shared = [inputs for batch in loader for inputs in batch["inputs"]]
    again = [sample["inputs"] for sample in pickle.loads(pickle.dumps(cached))]
    assert len(alone) == len(shared) == len(again) > 5
    for first, second, third, fourth in zip(alone, shared, again, [sample["inputs"] for sample in cached], strict=True):
        assert torch.equal(first, second)
        assert torch.equal(first, third)
        assert torch.equal(first, fourth)


def test_transforms_that_work_in_place_leave_the_cache_alone():
    cached = make(pipeline=[LOAD, {"type": "YOLOXHSVRandomAug"}], cache=True)
    before = {index: image.copy() for index, image in cached._images.items()}
    for _ in cached:
        pass
    for index, image in before.items():
        np.testing.assert_array_equal(cached._images[index], image)


def test_images_can_be_read_like_files():
    record = make(num_images=3).get_data_info(1)
    loaded = TRANSFORMS.build({"type": "LoadImage"})(dict(record))
    np.testing.assert_array_equal(loaded["img"], draw_image_at(record["img_path"]))
    drawn = TRANSFORMS.build(LOAD)(dict(record))
    np.testing.assert_array_equal(drawn["img"], loaded["img"])
    assert drawn["img_shape"] == drawn["ori_shape"] == loaded["ori_shape"] == (96, 128)


def test_images_from_files_are_refused_with_advice():
    with pytest.raises(ValueError, match="use LoadImage"):
        TRANSFORMS.build(LOAD)({"img_path": "image.jpg"})


def evaluate(dataset, noise=0.0):
    """Return what CocoMetric without ``ann_file`` says of the truth moved by ``noise`` px."""
    metric = CocoMetric(score_mode="bbox", nms_mode="none")
    metric.dataset_meta = dataset.metainfo
    for sample in dataset:
        data_sample = sample["data_samples"]
        people = [one for one in data_sample.raw_ann_info or [] if one]
        triplets = np.array([one["keypoints"] for one in people]).reshape(-1, 17, 3)
        boxes = np.array([one["bbox"] for one in people]).reshape(-1, 4)
        data_sample = data_sample.to_dict()
        data_sample["pred_instances"] = {
            "keypoints": triplets[..., :2] + noise,
            "keypoint_scores": np.ones(triplets.shape[:2]),
            "bboxes": boxes,
            "bbox_scores": np.ones(len(people)),
        }
        metric.process({}, [data_sample])
    return metric.evaluate(len(dataset))


def test_coco_metric_works_without_an_annotation_file():
    dataset = make(30, pipeline=list_val_transforms((96, 96)), test_mode=True, num_people=(0, 3))
    assert any(sample["data_samples"].raw_ann_info is None for sample in dataset)
    assert evaluate(dataset)["coco/AP"] == pytest.approx(1.0)
    assert evaluate(dataset, noise=5.0)["coco/AP"] < 0.5


def test_testing_tells_the_metric_of_no_file():
    make(1, test_mode=True)
    assert MessageHub.get_current_instance().get_info("synthetic_people_ann_file", None) is None


def test_topdown_records_are_of_people():
    people, images = make(data_mode="topdown", num_people=(2, 4)), make(num_people=(2, 4))
    assert len(people) == sum(len(record["id"]) for record in images)
    assert people[0]["keypoints"].shape == (1, 17, 2)
