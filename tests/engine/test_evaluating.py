"""Evaluating a checkpoint: the numbers of the run that wrote it, and the files that were asked for."""

import json
import pickle

import cv2
import numpy as np
import pytest
import torch

from rtmo_plugin.api import evaluate
from rtmo_plugin.engine.hooks.diagnostics import read_diagnostics
from rtmo_plugin.engine.hooks.prediction_plots import write_contact_sheet
from rtmo_plugin.engine.metric_tables import find_average_precision, format_table
from rtmo_plugin.errors import CheckpointError, ConfigError, MissingFileError
from rtmo_plugin.media.image_files import write_image


@pytest.fixture
def test(config, data_root, trained, tmp_path):
    """Return a function that evaluates the trained tiny model."""

    def run(checkpoint=trained.checkpoint, **options):
        return evaluate(config, checkpoint, **{"work_dir": tmp_path / "run", "data_root": data_root, **options})

    return run


def test_metrics_equal_those_of_the_last_validation(test, trained, tmp_path, capsys):
    everyone = {"model.test_cfg.score_thr": 0.0}
    metrics = test(out=tmp_path / "a/metrics.json", dump=tmp_path / "people.pkl", cfg_options=everyone)
    assert json.loads((tmp_path / "a/metrics.json").read_text()) == metrics
    assert metrics.keys() == trained.metrics.keys()
    assert test() == pytest.approx(dict(trained.metrics))
    samples = pickle.loads((tmp_path / "people.pkl").read_bytes())
    assert all(len(sample["pred_instances"]["keypoints"]) for sample in samples)
    assert "Average Precision" not in capsys.readouterr().out


def test_our_metric_gives_the_same_table_as_mmposes(test, data_root, tmp_path):
    (path,) = (data_root / "coco/annotations").glob("*val2017.json")
    truth = json.loads(path.read_text())
    for person in truth["annotations"]:
        person["area"] *= 50  # so that even an untrained model's guesses are near enough
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    options = {"model.test_cfg.score_thr": 0.0, "test_evaluator.ann_file": str(tmp_path / "truth.json")}
    metrics = test(cfg_options=options)
    types = {f"{split}_evaluator.type": "CocoMetric" for split in ("val", "test")}
    expected = test(cfg_options={**options, **types})
    assert metrics == pytest.approx(expected, abs=1e-9)
    assert format_table(metrics) == format_table(expected)
    assert 0 < metrics["coco/AP"] < 1
    with pytest.raises(ConfigError, match="score_mode='best' is not one of"):
        test(cfg_options={"test_evaluator.score_mode": "best"})


def test_plots_have_the_names_and_sizes_of_the_images(test, data_root, tmp_path):
    test(show_dir=tmp_path / "pictures")
    names = {path.stem: cv2.imread(str(path)).shape for path in (tmp_path / "pictures").iterdir()}
    assert names == {path.stem: cv2.imread(str(path)).shape for path in (data_root / "coco/val2017").iterdir()}


@pytest.mark.parametrize(("option", "name"), [("out", "metrics.txt"), ("dump", "people.json")])
def test_file_in_an_unknown_format_is_refused_at_once(test, option, name):
    with pytest.raises(ConfigError, match=rf"--{option} {name}: the file name must end with one of"):
        test(**{option: name})


def test_file_that_could_not_be_written_is_refused_at_once(test, data_root):
    (annotations,) = (data_root / "coco/annotations").glob("*val2017.json")
    with pytest.raises(ConfigError, match=r"The folder of --out, .* cannot be made a folder: "):
        test(out=annotations / "metrics.json")


def test_missing_data_checkpoint_and_weights_are_refused(test, tmp_path):
    with pytest.raises(MissingFileError, match="pass --data-root"):
        test(data_root=None)
    with pytest.raises(MissingFileError, match=r"The checkpoint file .* does not exist"):
        test(tmp_path / "none.pth")
    torch.save({"state_dict": {"backbone.weight": torch.ones(1)}}, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match=r"does not fit the config: it has no backbone\.stem"):
        test(tmp_path / "other.pth")


def test_training_has_noted_its_levels_and_sigmas(trained):
    entries = read_diagnostics(trained.checkpoint.parent)
    assert [(entry["epoch"], entry["stage"]) for entry in entries] == [(1, "warmup"), (2, "refine"), (3, "finish")]
    assert all(sum(entry["positives"].values()) and len(entry["sigmas"]) == 17 for entry in entries)


def test_config_without_a_test_set_cannot_be_tested(trained, tmp_path):
    (tmp_path / "model.py").write_text("model = dict(type='Any')")
    with pytest.raises(ConfigError, match="has no test_dataloader"):
        evaluate(tmp_path / "model.py", trained.checkpoint)


def test_table_of_metrics():
    metrics = {"crowdpose/AP": 0.6731, "crowdpose/AP(E)": 0.74, "crowdpose/AR": 1.0, "AP (L)": -1.0}
    assert format_table(metrics) == "   AP  AP(E)     AR  AP (L)\n0.673  0.740  1.000       -"
    assert find_average_precision(metrics) == 0.6731
    assert find_average_precision({"loss": 3.0}) is None


def test_contact_sheet_shows_every_plot_in_its_place(tmp_path):
    paths = []
    for index, (value, size) in enumerate({40: (20, 30), 90: (20, 30), 140: (40, 60)}.items()):
        paths.append(tmp_path / f"{index}.png")
        write_image(paths[-1], np.full((*size, 3), value, np.uint8))
    write_contact_sheet(paths, tmp_path / "sheet.png", num_columns=2)
    sheet = cv2.imread(str(tmp_path / "sheet.png"))
    assert sheet.shape == (40, 60, 3)
    assert [int(sheet[y, x, 0]) for y, x in ((5, 5), (5, 45), (25, 5), (25, 45))] == [40, 90, 140, 114]
