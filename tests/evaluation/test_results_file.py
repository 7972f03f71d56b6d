"""Result files: what is written is read again, and what cannot be used is refused with a sentence."""

import json
from pathlib import Path

import numpy as np
import pytest

from rtmo_plugin.errors import DataError, MissingFileError
from rtmo_plugin.evaluation import CocoMetric
from rtmo_plugin.evaluation.results_file import read_results
from tests.evaluation.detections import evaluate, make_meta, predict, write_annotations

RECIPE = {"score_mode": "bbox", "nms_mode": "none"}


@pytest.fixture
def files(small_truth, tmp_path):
    """Return the metainfo, and the paths of the small data set's annotations and of a result file for it."""
    meta, path = make_meta([0.05] * 3, small_truth), write_annotations(small_truth, tmp_path)
    samples = predict(small_truth, seed=1, num_keypoints=3, max_detections=3)
    metric = CocoMetric(path, outfile_prefix=str(tmp_path / "model"), format_only=True, **RECIPE)
    evaluate(metric, samples, meta)
    assert evaluate(CocoMetric(path, **RECIPE), samples, meta)["coco/AP"] > 0
    return meta, path, tmp_path / "model.keypoints.json", samples


def test_a_result_file_has_the_numbers_of_the_samples_it_came_from(files):
    meta, path, results, samples = files
    expected = evaluate(CocoMetric(path, **RECIPE), samples, meta)
    metric = CocoMetric(path, **RECIPE)
    assert evaluate(metric, read_results(results), meta) == expected
    assert metric.comparison.detections.keypoint_scores.max() <= 1
    bare = [{name: row[name] for name in row if name != "bbox"} for row in json.loads(results.read_text())]
    results.write_text(json.dumps(bare))
    assert evaluate(CocoMetric(path, **RECIPE), read_results(results), meta)["coco/AP"] == expected["coco/AP"]


def test_file_that_is_cut_off_or_missing(files, tmp_path):
    results = files[2]
    results.write_text(results.read_text()[:-20])
    with pytest.raises(DataError, match=r"The result file .*model\.keypoints\.json is not valid JSON: line"):
        read_results(results)
    with pytest.raises(MissingFileError, match=r"The result file .*none\.json does not exist"):
        read_results(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda rows: {"annotations": rows}, "it is not a list of detections"),
        (lambda rows: [*rows, {"image_id": 1}], r"Detection \d+ of .* has no `category_id`"),
        (lambda rows: [*rows, 3], r"Detection \d+ of .* has no `image_id`"),
        (lambda rows: [{**rows[0], "keypoints": None}], "Detection 0 of .*: `keypoints` is None"),
        (lambda rows: [{**rows[0], "image_id": [1]}], r"Detection 0 of .*: `image_id` is \[1\]"),
        (lambda rows: [{**rows[0], "category_id": 1.5}], r"Detection 0 of .*: `category_id` is 1\.5"),
        (lambda rows: [{**rows[0], "score": "high"}], "Detection 0 of .*: `score` is 'high'"),
        (lambda rows: [*rows, {**rows[0], "keypoints": [1, 2]}], "do not have three numbers"),
        (lambda rows: [{**rows[0], "keypoints": [1, 2, "x"]}], "numbers that cannot be read"),
        (lambda rows: [{**rows[0], "bbox": [1, 2, 3]}], "numbers that cannot be read"),
    ],
)
def test_file_in_another_format(files, change, words):
    results = files[2]
    results.write_text(json.dumps(change(json.loads(results.read_text()))))
    with pytest.raises(DataError, match=words):
        read_results(results)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"image_id": 77}, "predictions of image 77, which .* does not list"),
        ({"category_id": 5}, "predictions of category 5, which .* does not list"),
        ({"keypoints": [1.0, 2.0, 0.5]}, r"keypoints of image 1 have shape \(\d+, 1, 2\), not \(\d+, 3, 2\)"),
        ({"score": float("nan")}, "scores of image 1 are not finite"),
    ],
)
def test_content_that_does_not_belong_to_the_data_set(files, change, words):
    meta, path, results, _ = files
    rows = json.loads(results.read_text())
    results.write_text(json.dumps([{**row, **change} for row in rows if row["image_id"] == 1]))
    with pytest.raises(DataError, match=words):
        evaluate(CocoMetric(path, **RECIPE), read_results(results), meta)


def test_images_without_anybody_are_not_in_the_file_and_count_all_the_same(files):
    meta, path, results, _ = files
    results.write_text("[]")
    metrics = evaluate(CocoMetric(path, **RECIPE), read_results(results), meta)
    assert np.max(list(metrics.values())) == 0


@pytest.mark.parametrize("ids", [(0, 1), (7, 900_000), (-3, 2**40)])
def test_categories_of_any_number_are_those_of_the_file(files, tmp_path, ids):
    meta, path, results, _ = files
    truth = json.loads(Path(path).read_text())
    truth["categories"] = [{"id": number, "name": str(number)} for number in ids]
    for person in truth["annotations"]:
        person["category_id"] = ids[person["id"] % 2]
    people = [person for person in truth["annotations"] if not person["iscrowd"]]
    names = ("image_id", "category_id", "keypoints", "bbox")
    results.write_text(json.dumps([{**{name: person[name] for name in names}, "score": 1.0} for person in people]))
    path = write_annotations(truth, tmp_path, "numbered.json")
    # The classes of a model, by label, are in an order of their own.
    metrics = evaluate(CocoMetric(path, **RECIPE), read_results(results), {**meta, "category_ids": ids[::-1]})
    assert metrics["coco/AP"] == 1
