"""Two models side by side, from checkpoints and from result files."""

import json
import re

import numpy as np
import pytest

from rtmo_plugin.api import evaluate
from rtmo_plugin.engine.evaluating import run_evaluation
from rtmo_plugin.errors import ConfigError, DataError
from rtmo_plugin.runtime.exported_model import ExportedModel
from tests.tools.test_tools import run_in_process

EVERYONE = {"model.test_cfg.score_thr": 0.0}


@pytest.fixture(scope="module")
def results(config, data_root, trained, tmp_path_factory):
    """Return the result file of the trained tiny model, and the metrics of the run that wrote it."""
    prefix = tmp_path_factory.mktemp("results") / "tiny"
    options = {**EVERYONE, "test_evaluator.outfile_prefix": str(prefix)}
    metrics = evaluate(config, trained.checkpoint, data_root=data_root, cfg_options=options, work_dir=prefix.parent)
    return prefix.with_suffix(".keypoints.json"), metrics


@pytest.fixture
def perfect(data_root, tmp_path):
    """Return a result file with the truth itself, whose scores are above 1."""
    (path,) = (data_root / "coco/annotations").glob("*val2017.json")
    rows = [
        {**{name: person[name] for name in ("image_id", "category_id", "bbox", "keypoints")}, "score": 2.0}
        for person in json.loads(path.read_text())["annotations"]
    ]
    (tmp_path / "perfect.json").write_text(json.dumps(rows))
    return tmp_path / "perfect.json"


def test_a_result_file_is_evaluated_as_the_model_that_wrote_it(config, data_root, trained, results, tmp_path):
    path, metrics = results
    options = {"data_root": data_root, "work_dir": tmp_path}
    from_file = run_evaluation(config, path, **options)
    assert from_file.metrics == metrics
    assert len(from_file.people.image_paths) == 3
    # Other options would rank the file's scores a second time.
    from_file = run_evaluation(config, path, cfg_options={"test_evaluator.score_mode": "bbox_keypoint"}, **options)
    assert from_file.metrics == metrics
    theirs = {f"{split}_evaluator.type": "CocoMetric" for split in ("val", "test")}
    everyone = {**EVERYONE, **theirs}
    from_model = run_evaluation(config, trained.checkpoint, keep_people=True, cfg_options=everyone, **options)
    assert from_model.metrics == metrics
    assert from_model.people.image_paths == from_file.people.image_paths
    assert (from_model.people.comparison.detections.scores == from_file.people.comparison.detections.scores).all()


def test_tool_says_whether_the_difference_is_more_than_noise(config, data_root, results, perfect, tmp_path, capsys):
    options = ["--data-root", data_root, "--work-dir", tmp_path / "run", "--out", tmp_path / "both.json"]
    code, out, _ = run_in_process(capsys, "test", config, "--compare", results[0], perfect, *options)
    assert code == 0
    assert re.search(r"^tiny\.keypoints\.json +0\.\d{3} ", out, re.MULTILINE)
    assert re.search(r"^perfect\.json +1\.000 ", out, re.MULTILINE)
    assert re.search(r"^difference +\+\d\.\d{3} ", out, re.MULTILINE)
    assert "perfect.json scores" in out
    assert "more than noise: the 95 % interval of perfect.json - tiny.keypoints.json goes from" in out
    written = json.loads((tmp_path / "both.json").read_text())
    assert written["B"]["coco/AP"] == pytest.approx(1)
    assert written["difference"]["num_images"] == 3


def test_an_exported_file_is_measured_as_its_checkpoint(config, data_root, trained, trained_file, tmp_path, capsys):
    options = {"data_root": data_root, "work_dir": tmp_path}
    exported = run_evaluation(config, trained_file, **options)
    model = run_evaluation(config, trained.checkpoint, keep_people=True, cfg_options=EVERYONE, **options)
    ours, theirs = exported.people.comparison.detections, model.people.comparison.detections
    for image in range(3):
        best = [np.flatnonzero(each.image == image)[:5] for each in (ours, theirs)]
        assert len(best[0]) == 5
        assert ours.scores[best[0]] == pytest.approx(theirs.scores[best[1]], abs=1e-4)
        assert ours.keypoints[best[0]] == pytest.approx(theirs.keypoints[best[1]], abs=0.05)
        assert ours.areas[best[0]] == pytest.approx(theirs.areas[best[1]], rel=1e-3)
    assert exported.metrics == pytest.approx(model.metrics, abs=0.01)
    assert 0 < exported.speed.milliseconds < 10_000
    out = tmp_path / "metrics.json"
    code, printed, _ = run_in_process(capsys, "test", config, trained_file, "--data-root", data_root, "--out", out)
    assert code == 0
    precision = ExportedModel(trained_file).computes_in  # what test_mixed_precision.py looks at
    assert f" ms per image (median; one at a time from image to people, onnx, {precision})" in printed
    assert json.loads(out.read_text()) == exported.metrics
    code, _, err = run_in_process(
        capsys, "test", config, trained_file, "--data-root", data_root, "--dump", "people.pkl"
    )
    assert (code, "--dump is for checkpoints" in err) == (2, True)


def test_data_without_files_carry_their_own_truth(tmp_path):
    from mmengine.config import Config

    from tests.oracle import OUR_CONFIGS

    cfg = Config.fromfile(OUR_CONFIGS / "rtmo-t_synthetic.py")
    cfg.test_dataloader.dataset.update(num_images=3, cache=False)
    (tmp_path / "nobody.json").write_text("[]")
    assert run_evaluation(cfg, tmp_path / "nobody.json", work_dir=tmp_path).metrics["coco/AP"] == 0


def test_results_of_other_images_and_other_metrics_are_refused(config, data_root, perfect, tmp_path):
    perfect.write_text(perfect.read_text().replace('"image_id": 1,', '"image_id": 99,'))
    options = {"data_root": data_root, "work_dir": tmp_path}
    with pytest.raises(DataError, match=r"detections in image 99, which the config's test data do not have \(1 such"):
        run_evaluation(config, perfect, **options)
    with pytest.raises(ConfigError, match="has no CocoMetric"):
        run_evaluation(config, perfect, cfg_options={"test_evaluator": [{"type": "PCKAccuracy"}]}, **options)


def test_options_for_one_model_are_refused_for_two(config, trained, tmp_path, capsys):
    both = (trained.checkpoint, trained.checkpoint)
    with pytest.raises(ConfigError, match="--show-dir is for one model, and --compare has two"):
        evaluate(config, both[0], compare_with=both[1], show_dir=tmp_path)
    code, _, err = run_in_process(capsys, "test", config, "epoch_3.pth", "--compare", *both)
    assert (code, "--compare names both models: leave epoch_3.pth out" in err) == (2, True)
    with pytest.raises(ConfigError, match="the file name must end with one of"):
        evaluate(config, both[0], compare_with=both[1], out="both.txt")
    code, _, err = run_in_process(capsys, "test", config)
    assert (code, "name a checkpoint after the config" in err) == (2, True)


def test_same_names_are_told_apart_by_their_folders(config, data_root, trained, results, tmp_path):
    (tmp_path / "other").mkdir()
    copy = tmp_path / "other" / results[0].name
    copy.write_bytes(results[0].read_bytes())
    found = evaluate(config, results[0], compare_with=copy, data_root=data_root, work_dir=tmp_path)
    assert found.comparison.names == (str(results[0]), str(copy))
    assert not found.comparison.difference.is_more_than_noise
