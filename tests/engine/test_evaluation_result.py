"""Result of an evaluation: a mapping of metrics, with speed and a second model beside them."""

import dataclasses

import pytest

from rtmo_plugin.engine.evaluation_result import Evaluation, ModelComparison, Speed
from rtmo_plugin.evaluation.records import Difference

METRICS = {"coco/AP": 0.5, "coco/AP .5": 0.75}
SPEED = Speed(12.34, "median; one at a time")


def test_result_is_the_mapping_of_its_metrics():
    found = Evaluation(METRICS, speed=SPEED)
    assert found == METRICS
    assert found == METRICS
    assert found == pytest.approx(METRICS)
    assert found != {**METRICS, "coco/AP": 0.6}
    assert {**found} == METRICS
    assert (found["coco/AP"], len(found), list(found)) == (0.5, 2, list(METRICS))
    with pytest.raises(KeyError):
        found["coco/AR"]
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.speed = None


def test_tables_have_the_speed_below_them():
    assert Evaluation(METRICS).format() == "   AP  AP .5\n0.500  0.750"
    assert Evaluation(METRICS, speed=SPEED).format().endswith("\n\n12.3 ms per image (median; one at a time)")


def test_two_models_have_one_table_and_a_sentence():
    difference = Difference(0.5, 0.625, 0.1, 0.15, num_images=3, num_draws=10)
    second = ModelComparison(("a.pth", "b.json"), {"coco/AP": 0.625, "coco/AP .5": 0.75}, None, difference)
    found = Evaluation(METRICS, comparison=second, speed=SPEED)
    table, speeds, sentence = found.format().split("\n\n")
    assert [line.split()[:2] for line in table.splitlines()[1:]] == [
        ["a.pth", "0.500"],
        ["b.json", "0.625"],
        ["difference", "+0.125"],
    ]
    assert speeds == "a.pth: 12.3 ms per image (median; one at a time)"
    assert sentence.startswith("b.json scores 12.50 points of AP more than a.pth, which is more than noise")
    written = found.to_dict()
    assert (written["A"], written["B"]["coco/AP"], written["difference"]["num_images"]) == (METRICS, 0.625, 3)
