"""Is a difference more than noise: models whose difference is known."""

import dataclasses

import numpy as np
import pytest

from rtmo_plugin.analysis.measures import compare
from rtmo_plugin.errors import DataError
from tests.analysis.analysis_cases import answer, compare_with, make_people


def make_model(seed, num_found, num_images=60):
    """Return a model that finds ``num_found`` of ten people, chosen by chance."""
    truth = make_people(num_images, num_people=2)
    found = np.sort(np.random.default_rng(seed).permutation(2 * num_images)[: num_found * num_images // 5])
    return compare_with(truth, answer(truth, found))


def test_a_model_is_no_better_than_itself():
    model = make_model(0, 8)
    difference = compare(model, model, 50)
    assert (difference.low, difference.high) == (0, 0)
    assert not difference.is_more_than_noise
    assert difference.describe().startswith("Both have the same AP, which is no more than noise: the 95 % interval")


def test_models_that_differ_by_chance_alone_and_one_that_is_worse():
    good, as_good, worse = make_model(0, 8), make_model(1, 8), make_model(2, 5)
    noise, change = compare(good, as_good, 400), compare(good, worse, 400)
    assert noise.low < 0 < noise.high
    assert "no more than noise" in noise.describe()
    assert change.high < -0.1
    assert change.is_more_than_noise
    assert change.describe("old.pth", "new.pth").startswith("old.pth scores 29.")
    assert "points of AP more than new.pth, which is more than noise" in change.describe("old.pth", "new.pth")
    assert (change.first, change.num_images, change.num_draws) == (pytest.approx(0.8, abs=0.01), 60, 400)


def test_interval_is_as_wide_as_theory_says():
    """With everybody alike, AP is the share of people found: a mean over images, whose error is known."""
    first, second = make_model(0, 8, 200), make_model(1, 8, 200)
    difference = compare(first, second, 1000)
    found = [np.bincount(each.detections.image, minlength=200) / 2 for each in (first, second)]
    width = 2 * 1.96 * np.std(found[1] - found[0]) / np.sqrt(200)
    assert difference.high - difference.low == pytest.approx(width, abs=2 / 101)  # steps of recall


def test_results_of_other_images_are_refused():
    model = make_model(0, 8)
    other = dataclasses.replace(model, truth=dataclasses.replace(model.truth, image_ids=tuple(range(60))))
    with pytest.raises(DataError, match="of different images"):
        compare(model, other)
