"""Classes that take the place of MMPose's have its options, attributes and visible results, or refuse in a sentence."""

import inspect
import json
from dataclasses import fields

import mmpose.datasets
import mmpose.evaluation  # noqa: F401  (registers its classes)
import numpy as np
import pytest
from mmengine.logging import MessageHub
from mmpose.registry import METRICS as THEIR_METRICS
from mmpose.registry import TRANSFORMS as THEIR_TRANSFORMS

from rtmo_plugin.errors import ConfigError
from rtmo_plugin.evaluation import CocoMetric, CrowdPoseMetric
from rtmo_plugin.evaluation.records import MetricOptions
from rtmo_plugin.registry import HOOKS, METRICS, MODELS, TASK_UTILS, TRANSFORMS
from tests.evaluation.detections import evaluate, make_meta, predict, write_annotations

DIRECTIONS = ("horizontal", "vertical", "diagonal")
NAMES = (
    "BottomupRandomAffine", "LoadImage", "Mosaic", "PackPoseInputs", "RandomFlip", "YOLOXHSVRandomAug", "YOLOXMixUp",
)  # fmt: skip


@pytest.fixture
def truth():
    """Return the content of an annotation file with three people and their image sizes."""
    random = np.random.default_rng(0)
    people = [
        {
            "id": index, "image_id": index % 2 + 1, "category_id": 1, "iscrowd": 0, "area": 5000.0, "num_keypoints": 3,
            "bbox": [10, 10, 100, 80], "keypoints": np.c_[random.integers(10, 90, (3, 2)), [2, 2, 1]].ravel().tolist(),
        }
        for index in (1, 2, 3)
    ]  # fmt: skip
    images = [{"id": index, "width": 640, "height": 480, "crowdIndex": index / 4} for index in (1, 2)]
    return {"images": images, "annotations": people, "categories": [{"id": 1, "name": "person"}]}


@pytest.fixture
def samples(truth):
    found = predict(truth, seed=1, num_keypoints=3, max_detections=3)
    return [{**sample, "ori_shape": (480, 640)} for sample in found]


def list_options(cls):
    return [name for name in inspect.signature(cls.__init__).parameters if name not in ("self", "options")]


@pytest.mark.parametrize("name", NAMES)
def test_transforms_have_every_option_of_mmposes_and_its_attribute(name):
    theirs, ours = THEIR_TRANSFORMS.module_dict[name], TRANSFORMS.get(f"rtmo_plugin.{name}")
    needed = {"input_size": (64, 48)} if name == "BottomupRandomAffine" else {}
    kept = {"distribution": "uniform", "transform_mode": "perspective", "bbox_keep_corner": False, "clip_border": True}
    defaults = {
        option: parameter.default
        for option, parameter in inspect.signature(theirs.__init__).parameters.items()
        if option != "self"
    }
    given = {**defaults, **needed, **(kept if name == "BottomupRandomAffine" else {})}
    built, original = ours(**given), theirs(**{**defaults, **needed})
    assert [option for option in list_options(ours) if option in given] == [*given] or name == "LoadImage"
    for option in given:
        if hasattr(original, option) and name != "LoadImage":
            assert hasattr(built, option), option


@pytest.mark.parametrize(
    ("option", "value"),
    [("distribution", "trunc_norm"), ("transform_mode", "affine"), ("bbox_keep_corner", True), ("clip_border", False)],
)
def test_what_only_mmposes_affine_has_is_refused_with_its_name(option, value):
    with pytest.raises(ConfigError, match=rf"has no {option}={value!r}.* use MMPose's transform, type='Bott"):
        TRANSFORMS.build({"type": "rtmo_plugin.BottomupRandomAffine", "input_size": (64, 64), option: value})


def make_record(width=60, height=40):
    random = np.random.default_rng(0)
    boxes = np.sort(random.uniform(0, 40, (2, 2, 2)), axis=1).reshape(2, 4).astype(np.float32)
    return {
        "img": random.integers(0, 255, (height, width, 3), dtype=np.uint8), "img_shape": (height, width),
        "img_mask": random.integers(0, 2, (height, width), dtype=np.uint8),
        "bbox": boxes, "bbox_center": (boxes[:, :2] + boxes[:, 2:]) / 2,
        "keypoints": random.uniform(0, 40, (2, 3, 2)).astype(np.float32),
        "keypoints_visible": random.integers(0, 2, (2, 3)).astype(np.float32), "flip_indices": [0, 2, 1],
    }  # fmt: skip


@pytest.mark.parametrize(
    "options",
    [
        *({"prob": 1.0, "direction": direction} for direction in DIRECTIONS),
        {"prob": 0.6, "direction": list(DIRECTIONS)},
        {"prob": [0.2, 0.5], "direction": ["vertical", "horizontal"]},
    ],
)
@pytest.mark.parametrize("without", [(), ("bbox",), ("keypoints", "keypoints_visible"), ("img_mask", "bbox_center")])
def test_flips_in_all_directions_are_mmposes(options, without):
    theirs, ours = (TRANSFORMS.build({"type": prefix + "RandomFlip", **options}) for prefix in ("", "rtmo_plugin."))
    for seed in range(6):
        found = []
        for flip in (theirs, ours):
            record = {key: value for key, value in make_record().items() if key not in without}
            np.random.seed(seed)  # noqa: NPY002
            found.append(flip.transform(record))
        assert found[0].keys() == found[1].keys()
        for key, value in found[0].items():
            np.testing.assert_allclose(found[1][key], value, atol=1e-4) if isinstance(value, np.ndarray) else None
            assert isinstance(value, np.ndarray) or found[1][key] == value, key


def test_a_list_of_frames_is_flipped_and_packed():
    record = {**make_record(), "img": [make_record()["img"]] * 3}
    flipped = TRANSFORMS.build({"type": "rtmo_plugin.RandomFlip", "prob": 1.0}).transform(record)
    assert all(np.array_equal(frame, make_record()["img"][:, ::-1]) for frame in flipped["img"])
    packed = TRANSFORMS.build({"type": "rtmo_plugin.PackPoseInputs", "meta_keys": ()}).transform(flipped)
    assert packed["inputs"].shape == (3, 3, 40, 60)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"prob": None}, "prob of RandomFlip must be a number"),
        ({"direction": None}, "direction of RandomFlip must be a name"),
        ({"prob": 2.0}, "must be between 0 and 1"),
        ({"prob": float("nan")}, "must be between 0 and 1"),
        ({"prob": [0.7, 0.7], "direction": ["horizontal", "vertical"]}, "must be between 0 and 1"),
        ({"prob": [0.5]}, ""),
        ({"prob": [0.5, 0.2]}, "one number per direction \\(1\\)"),
        ({"direction": "sideways"}, "got 'sideways'"),
    ],
)
def test_flips_that_cannot_be(options, words):
    if not words:
        TRANSFORMS.build({"type": "rtmo_plugin.RandomFlip", **options})
        return
    with pytest.raises(ConfigError, match=words):
        TRANSFORMS.build({"type": "rtmo_plugin.RandomFlip", **options})


def test_affine_moves_what_is_there():
    affine = TRANSFORMS.build({"type": "rtmo_plugin.BottomupRandomAffine", "input_size": (64, 64), "use_udp": True})
    moved = affine.transform(make_record())  # without areas, scores and categories
    assert moved["img"].shape == (64, 64, 3)
    assert moved["warp_mat"].shape == (2, 3)
    assert "area" not in moved


@pytest.mark.parametrize("name", ["Mosaic", "YOLOXMixUp"])
def test_mixing_can_be_applied_to_given_records(name):
    record = {**make_record(), "bbox_score": np.ones(2), "category_id": [1, 2], "area": np.ones(2)}
    mix = TRANSFORMS.build({"type": f"rtmo_plugin.{name}"})
    mixed = mix.apply_mix({**record, "mixed_data_list": [dict(record) for _ in range(mix.num_aux_image)]})
    assert len(mixed["keypoints"]) == 2 * (mix.num_aux_image + 1)
    assert "mixed_data_list" not in mixed
    assert (mix.prob, mix.img_scale) == (1.0, (640, 640))


def test_the_metric_has_every_option_of_mmposes_as_an_attribute(truth, tmp_path):
    path = write_annotations(truth, tmp_path)
    metric = CocoMetric(path, outfile_prefix="x", nms_thr=0.7)
    for name in inspect.signature(THEIR_METRICS.get("CocoMetric")).parameters:
        assert hasattr(metric, name), name
    assert (metric.ann_file, metric.nms_thr, metric.outfile_prefix, metric.nms_mode) == (path, 0.7, "x", "oks_nms")
    assert {field.name for field in fields(MetricOptions)} - {"sigmas"} <= vars(metric).keys()
    assert METRICS.get("rtmo_plugin.CocoMetric") is CocoMetric


def test_an_attribute_that_is_changed_counts(truth, samples, tmp_path):
    metric = CocoMetric(write_annotations(truth, tmp_path))
    metric.outfile_prefix, metric.format_only = str(tmp_path / "out" / "later"), True
    assert evaluate(metric, samples, make_meta([0.05] * 3, truth)) == {}
    assert (tmp_path / "out" / "later.keypoints.json").is_file()


def test_the_metric_has_its_ground_truth_as_coco(truth, samples, tmp_path):
    metric = CocoMetric(write_annotations(truth, tmp_path))
    assert sorted(metric.coco.anns) == [1, 2, 3]
    assert metric.coco.loadCats(metric.coco.getCatIds())[0]["name"] == "person"
    alone = CocoMetric()
    assert alone.coco is None
    meta = make_meta([0.05] * 3, truth)
    evaluate(alone, samples, meta)
    assert sorted(alone.coco.getImgIds()) == [1, 2]
    MessageHub.get_current_instance().update_info("named_ann_file", write_annotations(truth, tmp_path))
    named = CocoMetric()
    named.dataset_meta = {**meta, "dataset_name": "named"}
    assert sorted(named.coco.anns) == [1, 2, 3]


@pytest.mark.parametrize("build", [CocoMetric, CrowdPoseMetric])
def test_ground_truth_of_samples_lies_beside_the_results_and_gives_the_same_numbers(truth, samples, tmp_path, build):
    meta = make_meta([0.05] * 3, truth)
    first = evaluate(build(outfile_prefix=str(tmp_path / "test")), samples, meta)
    written = json.loads((tmp_path / "test.gt.json").read_text())
    assert [image["width"] for image in written["images"]] == [640, 640]
    assert [each["id"] for each in written["annotations"]]
    assert evaluate(build(str(tmp_path / "test.gt.json")), samples, meta) == first
    assert (tmp_path / "test.keypoints.json").is_file()


def test_without_a_prefix_nothing_is_written(truth, samples, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    evaluate(CocoMetric(), samples, make_meta([0.05] * 3, truth))
    assert not [*tmp_path.iterdir()]


def test_the_metrics_metainfo_is_converted_and_the_data_sets_is_not(truth, tmp_path):
    metric = CocoMetric(
        write_annotations(truth, tmp_path), gt_converter={"num_keypoints": 4, "mapping": [(0, 3), (1, 1), (2, 0)]}
    )
    meta = {**make_meta([0.01, 0.02, 0.03], truth), "num_keypoints": 3}
    for _ in range(2):  # MMEngine's evaluator sets it before every validation
        metric.dataset_meta = meta
        assert metric.dataset_meta["num_keypoints"] == 4
        assert metric.dataset_meta["sigmas"].tolist() == [0.03, 0.02, 1, 0.01]
    assert meta["num_keypoints"] == 3
    assert len(metric.coco.anns[1]["keypoints"]) == 12


@pytest.mark.parametrize(
    ("registry", "name", "option"),
    [
        (MODELS, "VariFocalLoss", "use_target_weight"),
        (MODELS, "IoULoss", "reduction"),
        (MODELS, "MLECCLoss", "use_target_weight"),
        (MODELS, "OKSLoss", "metainfo"),
        (MODELS, "HybridEncoder", "encoder_cfg"),
        (TASK_UTILS, "SimOTAAssigner", "candidate_topk"),
    ],
)
def test_options_of_mmposes_models_are_refused_with_the_class_that_has_them(registry, name, option):
    with pytest.raises(ConfigError, match=rf"rtmo_plugin\.{name} has no option '{option}'.*, type='(mmdet\.)?{name}'"):
        registry.build({"type": f"rtmo_plugin.{name}", option: None})


def test_options_that_nothing_has_are_refused_with_the_nearest():
    with pytest.raises(ConfigError, match=r"rtmo_plugin\.RandomFlip has no option 'probs'; the nearest: prob\."):
        TRANSFORMS.build({"type": "rtmo_plugin.RandomFlip", "probs": 0.5})
    with pytest.raises(TypeError, match=r"rtmo_plugin\.CocoMetric has no option 'score_model'; .*: score_mode"):
        CocoMetric(score_model="bbox")
    with pytest.raises(TypeError, match=r"rtmo_plugin\.CrowdPoseMetric has no option 'perfix'; the nearest: prefix"):
        CrowdPoseMetric(perfix="x")
    assert CrowdPoseMetric(prefix="x", collect_device="cpu").prefix == "x"
    with pytest.raises(ConfigError, match=r"rtmo_plugin\.CurvesHook has no option 'x'\."):
        HOOKS.build({"type": "rtmo_plugin.CurvesHook", "x": 1})
