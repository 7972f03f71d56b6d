"""Keypoints are found by name wherever a model meets data: another order is mapped, another set refused."""

import json

import cv2
import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from mmpose.registry import DATASETS, MODELS

from rtmo_plugin.analysis.analysis_input import evaluate_results_file
from rtmo_plugin.api import evaluate, export, predict, train
from rtmo_plugin.config.edits import prepare_config
from rtmo_plugin.engine.evaluating import run_evaluation
from rtmo_plugin.engine.predicted_samples import predict_infos
from rtmo_plugin.errors import CheckpointError, ConfigError, DataError
from rtmo_plugin.evaluation import CocoMetric
from rtmo_plugin.keypoints.sets import COCO
from tests.oracle import randomize, spread_scores
from tests.tiny_runs import make_tiny

NAMES = ["nose", "left_eye", "right_eye", "tail"]
IMAGES = [{"id": index, "file_name": f"{index}.png", "width": 96, "height": 80} for index in (1, 2, 3)]


def list_people(names=NAMES, num_people=4, seed=0):
    """Return people on different images, always the same ones, with their keypoints in the order of ``names``."""
    random = np.random.default_rng(seed)
    people = []
    for index in range(num_people):
        points = {name: [*random.integers(10, 60, 2).tolist(), 2] for name in sorted(names)}
        people.append({
            "id": index + 1, "image_id": IMAGES[index % 3]["id"], "category_id": 1, "iscrowd": 0, "area": 900.0,
            "bbox": [8, 8, 56, 56], "num_keypoints": len(names),
            "keypoints": [value for name in names for value in points[name]],
        })  # fmt: skip
    return people


def write_file(path, names=NAMES, **changes):
    category = {"id": 1, "name": "animal", "keypoints": list(names), "skeleton": []}
    content = {"images": IMAGES, "annotations": list_people(names), "categories": [category], **changes}
    path.write_text(json.dumps(content))
    return path


def write_perfect_results(path, names=NAMES):
    rows = [
        {"image_id": each["image_id"], "category_id": 1, "keypoints": each["keypoints"], "score": 1.0}
        for each in list_people(names)
    ]
    path.write_text(json.dumps(rows))
    return path


@pytest.fixture
def root(tmp_path):
    """Return a folder whose validation file lists the keypoints of its training file in reverse order."""
    (tmp_path / "images").mkdir()
    for image in IMAGES:
        cv2.imwrite(str(tmp_path / "images" / image["file_name"]), np.zeros((80, 96, 3), np.uint8))
    write_file(tmp_path / "train.json")
    write_file(tmp_path / "val.json", NAMES[::-1])
    return tmp_path


@pytest.fixture
def named(root):
    """Return a config that names its keypoints, as training writes it beside the checkpoints."""
    cfg = prepare_config(make_tiny("rtmo-t_custom"), data_root=root, work_dir=root / "run")
    assert list(cfg.model.head.keypoints.names) == NAMES
    return cfg


def test_perfect_results_in_the_order_of_the_config_have_an_ap_of_1(root, named):
    found = run_evaluation(named, write_perfect_results(root / "res.json"))
    assert found.metrics["coco/AP"] == 1
    assert run_evaluation(named, write_perfect_results(root / "r.json", NAMES[::-1])).metrics["coco/AP"] < 0.5


def test_a_metric_alone_maps_its_annotation_file(root):
    metric = CocoMetric(str(root / "val.json"), score_mode="bbox", nms_mode="none")
    metric.dataset_meta = {
        "dataset_name": "x", "sigmas": np.full(4, 0.05), "keypoint_id2name": dict(enumerate(NAMES)),
    }  # fmt: skip
    for image in IMAGES:
        people = [each for each in list_people() if each["image_id"] == image["id"]]
        points = np.array([each["keypoints"] for each in people], float).reshape(-1, 4, 3)
        found = {"keypoints": points[..., :2], "keypoint_scores": points[..., 2] / 2, "bbox_scores": points[:, 0, 2]}
        metric.process(None, [{"id": [1], "img_id": image["id"], "pred_instances": found, "gt_instances": {}}])
    assert metric.evaluate(3)["coco/AP"] == 1


def test_records_are_the_same_whatever_the_order_of_the_file(root, named):
    init_default_scope("mmpose")
    records = []
    for name in ("train.json", "val.json"):
        dataset = DATASETS.build({**named.val_dataloader.dataset, "ann_file": name, "pipeline": []})
        records.append([dataset.get_data_info(index) for index in range(len(dataset))])
        assert dataset.metainfo["CLASSES"][0]["keypoints"] == NAMES
    for first, second in zip(*records):
        assert np.array_equal(first["keypoints"], second["keypoints"])
        assert [p["keypoints"] for p in first["raw_ann_info"]] == [p["keypoints"] for p in second["raw_ann_info"]]


def test_another_keypoint_of_as_many_is_refused(root, named):
    write_file(root / "val.json", ["nose", "left_eye", "right_eye", "chin"])
    words = r"val\.json is not of the config's keypoints: its category 'animal' lacks tail and has chin instead"
    with pytest.raises(DataError, match=words):
        run_evaluation(named, write_perfect_results(root / "res.json"))
    with pytest.raises(DataError, match=words):
        train(named, from_scratch=True)


def test_spelling_is_not_another_keypoint(root, named):
    write_file(root / "val.json", ["Tail", "eye_R", "LeftEye", "Nose"])
    write_perfect = write_perfect_results(root / "res.json")
    rows = json.loads(write_perfect.read_text())
    people = {each["id"]: each for each in list_people()}
    mapped = [
        {**people[i + 1], "keypoints": [v for k in (3, 2, 1, 0) for v in row["keypoints"][3 * k : 3 * k + 3]]}
        for i, row in enumerate(rows)
    ]
    write_file(root / "val.json", ["Tail", "eye_R", "LeftEye", "Nose"], annotations=mapped)
    assert run_evaluation(named, write_perfect).metrics["coco/AP"] == 1


def test_training_validates_on_a_file_of_another_order(root, capsys):
    cfg = make_tiny("rtmo-t_custom")
    cfg.train_cfg.max_epochs, cfg.train_cfg.val_interval = 1, 1
    result = train(cfg, data_root=root, work_dir=root / "run", from_scratch=True)
    assert "coco/AP" in result.metrics
    assert "val.json has the same keypoints in another order: they are found by name" in capsys.readouterr().out


def write_checkpoint(cfg, path, names=None, classes=None):
    init_default_scope("mmpose")
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    randomize(model, 0)
    spread_scores(model.head, std=1.0)
    meta = {"keypoint_id2name": dict(enumerate(names))} if names else {}
    meta |= {"classes": classes} if classes else {}
    torch.save({"state_dict": model.state_dict(), "meta": {"dataset_meta": meta}}, path)
    return path


@pytest.mark.parametrize("use", ["eval", "load-from", "predict", "export", "compare"])
def test_a_checkpoint_of_another_order_is_refused(root, named, use):
    path = write_checkpoint(named, root / "other.pth", NAMES[::-1])
    words = r"The keypoints of .*other\.pth are not the config's: the checkpoint has another order: its first keypoint"
    with pytest.raises(CheckpointError, match=words):
        {
            "eval": lambda: evaluate(named, path),
            "load-from": lambda: train(named, load_from=path),
            "predict": lambda: predict(path, root / "images", config=named),
            "export": lambda: export(named, path, root / "model.onnx"),
            "compare": lambda: run_evaluation(named, path, keep_people=True),
        }[use]()


def test_load_from_says_how_to_take_over_what_has_the_same_name(root, named):
    path = write_checkpoint(named, root / "other.pth", ["nose", "left_eye", "right_eye", "chin"])
    with pytest.raises(CheckpointError, match=r"lacks tail and has chin instead; .*pass --transfer-from"):
        train(named, load_from=path)


def test_a_checkpoint_whose_classes_have_another_order_is_refused(root):
    category = {"keypoints": NAMES, "skeleton": []}
    categories = [{"id": 1, "name": "cat", **category}, {"id": 2, "name": "dog", **category}]
    for name in ("train.json", "val.json"):
        write_file(root / name, categories=categories)
    cfg = prepare_config(make_tiny("rtmo-t_custom"), data_root=root, work_dir=root / "run")
    path = write_checkpoint(cfg, root / "other.pth", NAMES, ("dog", "cat"))
    with pytest.raises(CheckpointError, match=r"The classes of .* are dog, cat, and the config's are cat, dog"):
        evaluate(cfg, path)


def test_a_head_of_another_order_than_its_data_is_refused(root, named):
    named.model.head.keypoints.names = NAMES[::-1]
    with pytest.raises(ConfigError, match=r"The keypoints of train_dataloader are not those of model\.head\.keypoints"):
        train(named, from_scratch=True)


def test_an_exported_file_is_read_by_name(root, named):
    path, file = write_checkpoint(named, root / "own.pth", NAMES), root / "model.onnx"
    export(named, path, file, size="64x64", cut="raw")
    infos = [{"img_id": image["id"], "img_path": str(root / "images" / image["file_name"])} for image in IMAGES]
    own, _ = predict_infos(file, infos)
    mapped, _ = predict_infos(file, infos, metainfo={"keypoint_id2name": dict(enumerate(NAMES[::-1]))})
    assert sum(len(each["pred_instances"]["keypoints"]) for each in own) > 0
    for first, second in zip(own, mapped):
        for name in ("keypoints", "keypoint_scores"):
            assert np.array_equal(first["pred_instances"][name][:, ::-1], second["pred_instances"][name])
    named.test_dataloader.dataset.keypoints.names = ["nose", "left_eye", "right_eye", "chin"]
    write_file(root / "val.json", ["nose", "left_eye", "right_eye", "chin"])
    with pytest.raises(ConfigError, match=r"model\.onnx are not the config's: the file lacks chin and has tail"):
        run_evaluation(named, file)


def test_mmposes_data_sets_refuse_a_file_of_another_order(config, data_root, tmp_path):
    name = "coco/annotations/person_keypoints_val2017.json"
    content = json.loads((data_root / name).read_text())
    for category in content["categories"]:
        category["keypoints"] = category["keypoints"][::-1]
    other = tmp_path / "reversed.json"
    other.write_text(json.dumps(content))
    options = {"test_dataloader.dataset.ann_file": str(other), "test_evaluator.ann_file": str(other)}
    (tmp_path / "res.json").write_text("[]")
    with pytest.raises(DataError, match=r"reversed\.json is not in the order of CocoDataset: .* another order"):
        run_evaluation(config, tmp_path / "res.json", data_root=data_root, cfg_options=options)


def test_mmposes_metric_is_refused_where_the_data_are_mapped(root, named):
    named.test_evaluator = {"type": "CocoMetric", "ann_file": str(root / "val.json")}
    path = write_checkpoint(named, root / "own.pth", NAMES)
    with pytest.raises(DataError, match=r"MMPose's metric reads them by position"):
        evaluate(named, path)


def test_analysis_takes_the_keypoints_that_the_annotations_name(root):
    names = COCO.names[::-1]
    write_file(root / "val.json", names, annotations=list_people(names))
    write_perfect_results(root / "res.json", names)
    found = evaluate_results_file(root / "res.json", root / "val.json")
    assert found.schema.names == names
    assert found.schema.sigmas == COCO.sigmas[::-1]
    assert {frozenset(names[i] for i in pair) for pair in found.schema.flip_pairs} == {
        frozenset(COCO.names[i] for i in pair) for pair in COCO.flip_pairs
    }
    assert found.metrics["coco/AP"] == 1
    write_perfect_results(root / "res.json", COCO.names)
    assert evaluate_results_file(root / "res.json", root / "val.json", keypoints="coco").metrics["coco/AP"] == 1


def test_analysis_needs_no_keypoint_file_where_the_data_have_names(root):
    found = evaluate_results_file(write_perfect_results(root / "res.json"), root / "train.json")
    assert found.schema.names == tuple(NAMES)
    assert found.schema.flip_pairs == ((1, 2),)
    assert found.metrics["coco/AP"] == 1
