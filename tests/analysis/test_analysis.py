"""Where errors are: cases that one can count, laws, and injected errors that are found again."""

import dataclasses

import numpy as np
import pytest

from rtmo_plugin.analysis.measures import analyze_comparison
from rtmo_plugin.analysis.measures.average_precision import WeightedPrecision, average_precision
from rtmo_plugin.analysis.measures.calibration import calibrate, fit_calibration, measure_reliability
from rtmo_plugin.analysis.measures.costs import ERRORS, correct, count_errors, find_worst_images, measure_costs
from rtmo_plugin.analysis.measures.groups import measure_crowding, split_by_crowding, split_by_size
from rtmo_plugin.analysis.measures.study import KINDS, study
from rtmo_plugin.evaluation import CocoMetric
from rtmo_plugin.keypoints.sets import COCO
from rtmo_plugin.score_calibration import make_features
from tests.analysis.analysis_cases import answer, compare_with, exchange_sides, inject, make_people
from tests.evaluation.detections import COCO_SIGMAS, evaluate, make_meta, predict

COCO_119 = "coco/annotations/person_keypoints_val2017.json"
RECIPE = {"score_mode": "bbox", "nms_mode": "none"}
LEFT_EYE, RIGHT_EYE, LEFT_WRIST, LEFT_KNEE = 1, 2, 9, 13


@pytest.fixture(scope="module")
def real(read_truth):
    """Return the metrics and the comparison of troubled detections of real annotations, no two scores alike."""
    truth, path = read_truth(COCO_119)
    samples = predict(truth, seed=1, num_keypoints=17)
    random = np.random.default_rng(0)
    for sample in samples:
        sample["pred_instances"]["bbox_scores"] = random.random(len(sample["pred_instances"]["bbox_scores"]))
    metric = CocoMetric(path, **RECIPE)
    return evaluate(metric, samples, make_meta(COCO_SIGMAS, truth)), metric.comparison


def study_changed(change, **people):
    """Return the study of perfect answers after ``change(keypoints)`` in place."""
    truth = make_people(**people)
    detections = answer(truth)
    change(detections.keypoints)
    return study(compare_with(truth, detections), COCO.flip_pairs)


def name_kinds(found, pair=0):
    return {COCO.names[k]: KINDS[found.kinds[pair, k]] for k in range(17) if found.kinds[pair, k]}


def test_ap_of_weighted_images_is_the_metrics(real):
    metrics, comparison = real
    precision = WeightedPrecision(comparison)
    assert precision.average(np.ones(119)) == pytest.approx(metrics["coco/AP"], abs=1e-12)
    assert 0.05 < metrics["coco/AP"] < 0.8


def test_images_that_count_several_times_are_as_good_as_copies_of_them(real):
    _, comparison = real
    truth, found = comparison.truth, comparison.detections
    weights = np.bincount(np.random.default_rng(0).integers(0, 119, 119), minlength=119)
    copies = np.repeat(np.arange(119), weights)
    people = [np.flatnonzero(truth.image == image) for image in copies]
    rows = [np.flatnonzero(found.image == image) for image in copies]

    def take(record, parts, fields):
        chosen = {name: getattr(record, name)[np.concatenate(parts)] for name in fields}
        place = np.repeat(np.arange(119), [len(part) for part in parts])
        return dataclasses.replace(record, **{**chosen, "image": place})

    names = ("category", "keypoints", "boxes_xywh", "areas", "is_crowd", "is_ignored")
    copied = dataclasses.replace(
        comparison,
        truth=dataclasses.replace(take(truth, people, names), image_ids=tuple(range(119))),
        detections=take(found, rows, ("category", "keypoints", "keypoint_scores", "scores", "areas")),
    )
    expected = average_precision(copied)
    assert WeightedPrecision(comparison).average(weights) == pytest.approx(expected, abs=1e-12)
    assert expected != pytest.approx(average_precision(comparison), abs=1e-5)


def test_a_keypoint_that_is_moved_gets_the_name_of_its_error():
    def move(keypoints):
        keypoints[0, LEFT_EYE] += (5, 0)  # sigma .025 of 100 px: similarity exp(-1/2)
        keypoints[0, LEFT_WRIST] = keypoints[1, LEFT_WRIST]
        keypoints[0, LEFT_KNEE] = (0, -500)
        keypoints[1, LEFT_EYE] = keypoints[1, RIGHT_EYE]
        keypoints[2, LEFT_EYE] += (30, 0)  # far from the other eye as well

    found = study_changed(move)
    assert name_kinds(found, 0) == {"left_eye": "jitter", "left_wrist": "swap", "left_knee": "miss"}
    assert name_kinds(found, 1) == {"left_eye": "inversion"}
    assert name_kinds(found, 2) == {"left_eye": "miss"}
    assert found.similarity[0, LEFT_EYE] == pytest.approx(np.exp(-0.5))
    assert count_errors(found) == {
        **{"jitter": 1, "inversion": 1, "swap": 1, "miss": 2},
        **{"ranking": 0, "duplicate": 0, "background": 0, "missed": 0},
    }


def test_a_swap_with_the_other_side_of_somebody_else_is_a_swap():
    def move(keypoints):
        keypoints[0, LEFT_WRIST] = keypoints[1, LEFT_WRIST + 1]

    assert name_kinds(study_changed(move)) == {"left_wrist": "swap"}


def test_a_pose_that_is_wholly_inverted_is_found_as_one():
    def move(keypoints):
        keypoints[:] = exchange_sides(keypoints)
        keypoints[:, 0] += 1000  # nothing is left in its place

    found = study_changed(move)
    assert not found.is_missed.any()
    assert set(name_kinds(found).values()) == {"inversion", "miss"}


def test_unlabeled_keypoints_have_no_errors():
    truth = make_people(2)
    truth.keypoints[:, LEFT_EYE, 2] = 0
    detections = answer(truth)
    detections.keypoints[:, LEFT_EYE] += 100
    found = study(compare_with(truth, detections), COCO.flip_pairs)
    assert count_errors(found)["miss"] == 0
    assert (found.oks == 1).all()


def test_detections_without_a_person_and_people_without_a_detection_are_counted():
    truth = make_people(4)
    truth.is_ignored[5] = True
    people = [0, 0, 1, 5, *range(6, 16)]
    detections = answer(truth, people)
    detections.keypoints[2] += 3000
    found = study(compare_with(truth, detections), COCO.flip_pairs)
    counts = count_errors(found)
    assert (counts["duplicate"], counts["background"], counts["missed"]) == (1, 1, 4)
    assert found.is_neutral.sum() == 1
    worst = find_worst_images(found, 20, 0.3)
    assert [image.index for image in worst[:2]] == [0, 1]
    assert (worst[0].num_missed, worst[0].num_false, worst[1].num_missed) == (3, 2, 1)
    assert len(worst) == 2


@pytest.mark.parametrize("people", [[], [0, 5]])
def test_images_are_ordered_also_when_every_detection_is_false(people):
    """NumPy counts in integers where there are no rows, as after a few steps of training."""
    truth = make_people(3)
    detections = answer(truth, people)
    detections.keypoints[:] += 3000
    worst = find_worst_images(study(compare_with(truth, detections), COCO.flip_pairs), 20, 0.3)
    assert [(image.num_missed, image.num_false) for image in worst] == [(4, int(bool(people)))] * 2 + [(4, 0)]


def test_putting_right_gains_what_it_costs_and_everything_right_is_perfect(real):
    metrics, comparison = real
    found = study(comparison, COCO.flip_pairs)
    costs = {cost.name: cost for cost in measure_costs(found)}
    total = metrics["coco/AP"] + sum(cost.in_turn for cost in costs.values())
    assert total == pytest.approx(average_precision(correct(found, ERRORS)), abs=1e-12)
    assert 0.97 < total <= 1
    assert costs["miss"].alone == costs["miss"].in_turn > 0
    assert average_precision(correct(found, [])) == pytest.approx(metrics["coco/AP"], abs=1e-12)
    exact = dataclasses.replace(found, kinds=np.where(found.kinds == 0, KINDS.index("jitter"), found.kinds))
    assert average_precision(correct(exact, ERRORS)) == 1


@pytest.mark.parametrize(
    ("errors", "named"),
    [
        ({}, set()),
        ({"inverted": 1}, {"inversion"}),
        ({"dropped": 1}, {"missed"}),
        ({"inverted": 1, "shaken": 1, "dropped": 1}, {"inversion", "jitter", "missed"}),
    ],
)
def test_injected_errors_are_named_and_no_others(errors, named):
    report = analyze_comparison(inject(**errors), COCO)
    assert {finding.name for finding in report.findings} == named
    assert [cost.count for cost in report.costs if cost.name == "missed"] == [20 if "dropped" in errors else 0]
    if "inverted" in errors:
        (words,) = (finding.words for finding in report.findings if finding.name == "inversion")
        assert "left and right are exchanged" in words
        assert report.keypoints[0].shares[KINDS.index("inversion")] == 0  # a nose has no other side
        assert report.keypoints[LEFT_WRIST].shares[KINDS.index("inversion")] == pytest.approx(1 / 6, abs=0.01)


def test_groups_by_size_are_the_metrics_own(real, monkeypatch):
    metrics, comparison = real
    monkeypatch.setattr("rtmo_plugin.analysis.measures.groups.SIZES", (32, 96, 1e5))
    medium, large = split_by_size(comparison)
    assert (medium.precision, large.precision) == pytest.approx((metrics["coco/AP (M)"], metrics["coco/AP (L)"]))
    assert (medium.recall, large.recall) == pytest.approx((metrics["coco/AR (M)"], metrics["coco/AR (L)"]))


def test_groups_hold_everybody(real):
    _, comparison = real
    report = analyze_comparison(comparison, COCO)
    num_people = (~comparison.truth.is_ignored).sum()
    for groups in (report.sizes, report.crowdings, report.counts):
        assert sum(group.num_people for group in groups) == num_people
    assert len({group.precision for group in report.counts}) == 4
    assert report.curves[0.5].shape == (101,)
    assert (np.diff(report.curves[0.5]) <= 0).all()


def test_crowding_is_counted_in_keypoints():
    truth = make_people(2, num_people=2, spacing=1000.0)
    truth.keypoints[1, :4, :2] = truth.keypoints[0, :4, :2]  # a head in somebody else's box
    assert measure_crowding(truth).tolist() == [4 / 17 / 2, 0]
    assert [group.num_people for group in split_by_crowding(compare_with(truth, answer(truth)))] == [2, 2, 0, 0, 0]


def test_calibration_finds_the_weights_that_made_the_scores():
    random = np.random.default_rng(0)
    scores, keypoint_scores = random.uniform(0.02, 0.98, 4000), np.full((4000, 3), 0.5)
    oks = 1 / (1 + np.exp(-(2 * np.log(scores / (1 - scores)) - 1)))
    found = fit_calibration(scores, keypoint_scores, oks)
    assert (found.score_weight, found.bias) == pytest.approx((2, -1), abs=0.01)
    assert measure_reliability(scores, oks).error > 0.1
    assert measure_reliability(found.apply(scores, keypoint_scores), oks).error < 0.002


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("oks", ["separate", "right", "wrong"])
def test_calibration_is_the_minimum_also_where_scores_separate_right_from_wrong(oks):
    random = np.random.default_rng(0)
    scores, keypoint_scores = random.random(500), random.random((500, 17))
    targets = {"separate": (scores > 0.5).astype(float), "right": np.ones(500), "wrong": np.zeros(500)}[oks]
    found = fit_calibration(scores, keypoint_scores, targets)
    weights = np.array([found.score_weight, found.keypoint_weight, found.bias])
    gradient = make_features(scores, keypoint_scores).T @ (found.apply(scores, keypoint_scores) - targets)
    assert gradient + 1e-3 * weights == pytest.approx(0, abs=1e-4)


def test_calibration_is_measured_on_images_that_it_was_not_fitted_on():
    comparison = inject(inverted=1, shaken=1)
    result = calibrate(study(comparison, COCO.flip_pairs))
    assert result.after.counts.sum() == 100
    assert result.precision_before == pytest.approx(result.precision_after, abs=1e-9)  # the order stays
    assert result.after.error < result.before.error < 0.1


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("people", [[], [0]])
def test_nothing_found_or_nobody_there_is_no_error(people):
    truth = make_people(2)
    report = analyze_comparison(compare_with(truth, answer(truth, people)), COCO)
    assert report.precision == pytest.approx(len(people) * 0.1287, abs=0.001)
    nobody = dataclasses.replace(truth, is_ignored=np.ones(8, bool))
    assert analyze_comparison(compare_with(nobody, answer(nobody, people)), COCO).precision == -1
