"""A wrong option is refused before data are read, weights downloaded and models built; all of these are missing."""

import shutil

import pytest

from rtmo_plugin.api import evaluate, export, publish, train, tune
from rtmo_plugin.config.config_files import load_config
from rtmo_plugin.errors import ConfigError, MissingFileError, OutputError, UserError
from rtmo_plugin.pose.pose import Pose
from tests.tuning.conftest import needs_tune

_BEST = "default_hooks.checkpoint.save_best"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"freeze": "bakbone"}, "^--freeze: the model has no part 'bakbone' with weights: choose among backbone, neck"),
        (
            {"freeze": "neck.enc"},
            "^--freeze: the model has no part 'neck.enc' with weights: choose among neck.input_proj, neck.enc",
        ),
        ({"freeze": "backbone,neck,head"}, "^--freeze backbone,neck,head leaves nothing to train"),
        ({"cfg_options": {_BEST: "coco/APP"}}, r"save_best: coco/APP: the validation has no such metric: .* coco/AP, "),
        ({"cfg_options": {_BEST: "AP"}}, "save_best: AP: the validation has no such metric"),
        (
            {"cfg_options": {_BEST: ["coco/AR", "coco/AP(E)"]}},
            "save_best: coco/AP.E.: the validation has no such",
        ),
        ({"teacher": ("rtmo-s_coco", "no.pth")}, r"^The checkpoint file no\.pth does not exist\.$"),
        ({"teacher": ("rtmo-s_cocoo", "rtmo-s_coco")}, "^No config is named rtmo-s_cocoo"),
        ({"cache_gb": 10**6}, "^No room for an image cache of 1000000000000000 bytes"),
        ({"cfg_options": {"optim_wrapper.optimizer.type": "Adamm"}}, r"'Adamm': the optimizer is unknown; .* Adam,"),
        ({"load_from": "rtmo-s_coco"}, "^The annotation file .* does not exist: pass --data-root"),  # no download
    ],
)
def test_training_refuses_names_before_data_and_downloads(config, tmp_path, options, sentence):
    with pytest.raises(UserError, match=sentence):
        train(config, work_dir=tmp_path / "run", data_root=tmp_path / "missing", **options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "options", [{_BEST: "coco/AP"}, {_BEST: "auto"}, {_BEST: "coco/AP of dog", "val_evaluator.class_wise": True}]
)
def test_training_takes_the_metrics_that_there_are(config, tmp_path, options):
    with pytest.raises(MissingFileError, match=r"^The annotation file .* does not exist"):
        train(config, work_dir=tmp_path / "run", data_root=tmp_path / "missing", cfg_options=options)


def test_training_looks_at_its_folder_before_a_download(config, data_root, tmp_path):
    (tmp_path / "epoch_1.pth").write_bytes(b"of an earlier run")
    with pytest.raises(ConfigError, match="holds the checkpoints of an earlier run"):
        train(config, work_dir=tmp_path, data_root=data_root, load_from="rtmo-s_coco")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"augment": "copypaste"}, "^--augment 'copypaste' is unknown"),
        ({"validate": False, "patience": 3}, "^--patience counts validations, and this training has none"),
    ],
)
def test_training_refuses_options_before_it_reads_keypoints_from_the_data(tmp_path, options, sentence):
    with pytest.raises(ConfigError, match=sentence):
        train("rtmo-t_custom", work_dir=tmp_path, data_root=tmp_path / "missing", **options)


@needs_tune
def test_tuning_refuses_two_starts_before_a_trial(config, tmp_path):
    with pytest.raises(ConfigError, match="--load-from and --transfer-from name two checkpoints"):
        tune(config, work_dir=tmp_path, data_root=tmp_path, load_from="rtmo-s_coco", transfer_from="rtmo-s_body7")


@needs_tune
def test_tuning_refuses_a_metric_before_data(config, tmp_path):
    with pytest.raises(ConfigError, match=r"^--metric crowdpose/AP: the validation has no such metric: .* coco/AP, "):
        tune(config, work_dir=tmp_path, data_root=tmp_path, metric="crowdpose/AP")


@pytest.mark.parametrize("second", ["no.pth", "no.onnx", "no.json", "rtmo-s_cocoo"])
def test_evaluation_looks_for_both_models_before_data(config, tiny_model, tmp_path, second):
    missing = rf"^(The (checkpoint|model|result) file|No model or config is named) {second}"
    with pytest.raises(MissingFileError, match=missing):
        evaluate(config, tiny_model[1], compare_with=second, data_root=tmp_path, work_dir=tmp_path)


def test_evaluation_looks_for_data_before_a_download(config, tmp_path):
    with pytest.raises(MissingFileError, match=r"^The annotation file .* does not exist: pass --data-root"):
        evaluate(config, "rtmo-s_coco", data_root=tmp_path, work_dir=tmp_path)


@pytest.mark.parametrize(("option", "name"), [("out", "x.json"), ("dump", "x.pkl")])
def test_evaluation_looks_where_it_writes_before_data(config, tiny_model, tmp_path, option, name):
    (tmp_path / name).mkdir()
    with pytest.raises(OutputError, match=f"{name} is a folder; name a file"):
        evaluate(config, tiny_model[1], data_root=tmp_path, work_dir=tmp_path, **{option: tmp_path / name})


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("x.pt", {"format": "torchscript"}, "cannot hold NMS"),
        ("x.pt2", {"format": "pt2", "cut": "raw", "dynamic": "size"}, "takes one size"),
        ("x.pt2", {"format": "aoti", "cut": "raw", "device": "cuda:99"}, "--device cuda:99 cannot be used here"),
        ("x.engine", {"format": "engine"}, "--format engine leaves NMS to the runtime"),
        ("x", {"format": "web", "cut": "raw"}, "The page runs models of --cut end2end"),
        ("x", {"format": "web", "ort_web": "no.tgz"}, r"no\.tgz does not exist"),
        ("x.onnx", {"int8": True, "annotations": "no.json"}, r"The annotation file no\.json does not exist"),
    ],
)
def test_export_refuses_options_before_it_loads_the_model(tiny_model, data_root, tmp_path, name, options, sentence):
    if options.get("int8"):
        options = {**options, "int8_images": data_root / "coco/val2017"}
    with pytest.raises(UserError, match=sentence):
        export(tiny_model[0], "no.pth", tmp_path / name, **options)
    assert list(tmp_path.iterdir()) == []


def test_publishing_looks_for_images_before_it_loads_the_model(tiny_model, tmp_path):
    with pytest.raises(MissingFileError, match="The image or folder no does not exist"):
        publish("no.pth", tmp_path / "x", config=tiny_model[0], onnx=True, int8_images="no")
    assert list(tmp_path.iterdir()) == []


def test_runtime_and_device_are_checked_before_the_model_is_there(tiny_model):
    with pytest.raises(ConfigError, match="The runtime 'onnxrun' is unknown"):
        Pose("no.onnx", runtime="onnxrun")
    with pytest.raises(ConfigError, match="--device cuda:99 cannot be used here"):
        Pose("no.pth", config=tiny_model[0], device="cuda:99")


def test_keypoints_come_from_the_data_after_the_edits(data_root, tmp_path):
    """A part of a model whose keypoints come from its data can be named wrongly, too."""
    cfg = load_config("rtmo-t_custom")
    for name, split in (("train", "train2017"), ("val", "val2017")):
        source = data_root / f"coco/annotations/person_keypoints_{split}.json"
        shutil.copy(source, tmp_path / cfg[f"{name}_dataloader"].dataset.ann_file)
    with pytest.raises(ConfigError, match="--freeze: the model has no part 'bakbone'"):
        train(cfg, work_dir=tmp_path / "run", data_root=tmp_path, freeze="bakbone", from_scratch=True)
