"""Input that cannot be evaluated is refused with a sentence; what is only strange has a rule."""

import numpy as np
import pytest
from mmengine.logging import MMLogger

from rtmo_plugin.errors import DataError, MissingFileError
from rtmo_plugin.evaluation import CocoMetric, CrowdPoseMetric
from rtmo_plugin.evaluation.records import KeypointMapping
from tests.evaluation.detections import evaluate, make_meta, predict, write_annotations


@pytest.fixture
def samples(small_truth):
    """Return predictions of the small data set, with somebody on the first image."""
    found = predict(small_truth, seed=1, num_keypoints=3, max_detections=3)
    assert len(found[0]["pred_instances"]["keypoints"])
    return found


@pytest.fixture
def run(small_truth, samples, tmp_path):
    """Return a function that evaluates samples with the small data set's annotations."""
    path, meta = write_annotations(small_truth, tmp_path), make_meta([0.05] * 3, small_truth)
    return lambda found=samples, build=CocoMetric, **options: evaluate(build(path, **options), found, meta)


def test_unknown_image(run, samples):
    assert run() is not None
    samples[0]["img_id"] = 77
    with pytest.raises(DataError, match=r"predictions of image 77, which the annotation file .*truth\.json does not"):
        run()


def test_unknown_category(run, samples):
    samples[0]["category_id"] = 5
    with pytest.raises(DataError, match=r"predictions of category 5, which .* does not list"):
        run()


def test_wrong_number_of_keypoints(small_truth, run):
    with pytest.raises(DataError, match=r"keypoints of image 1 have shape \(\d+, 5, 2\), not \(\d+, 3, 2\)"):
        run(_widen(predict(small_truth, seed=1, num_keypoints=3, max_detections=3)))


def _widen(samples):
    found = samples[0]["pred_instances"]
    found["keypoints"] = np.pad(found["keypoints"], ((0, 0), (0, 2), (0, 0)))
    return samples


def test_annotations_with_another_number_of_keypoints(run, small_truth, samples, tmp_path):
    path = write_annotations(small_truth, tmp_path)
    with pytest.raises(DataError, match=r"Annotation 1 of .* has 9 numbers in `keypoints`, not 6"):
        evaluate(CocoMetric(path), [], make_meta([0.05] * 2, small_truth))


@pytest.mark.parametrize("name", ["keypoints", "keypoint_scores", "bbox_scores", "bboxes"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite(run, samples, name, value):
    samples[0]["pred_instances"][name].flat[0] = value
    with pytest.raises(DataError, match="of image 1 are not finite"):
        run()


def test_scores_outside_of_0_to_1_are_ranked_as_they_are(run, samples, caplog):
    def scale(factor):
        for sample in samples:
            sample["pred_instances"]["bbox_scores"] = sample["pred_instances"]["bbox_scores"] * factor
        return run(score_mode="bbox", nms_mode="none")

    logger = MMLogger.get_current_instance()  # it passes nothing on to where caplog listens
    expected = scale(1)
    logger.addHandler(caplog.handler)
    try:
        assert scale(100) == expected
    finally:
        logger.removeHandler(caplog.handler)
    (record,) = caplog.records
    assert "outside of 0 to 1" in record.getMessage()


def test_annotation_file_that_is_cut_off(small_truth, tmp_path):
    path = write_annotations(small_truth, tmp_path)
    whole = (tmp_path / "truth.json").read_text()
    (tmp_path / "truth.json").write_text(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"The annotation file .*truth\.json is not valid JSON: line"):
        CocoMetric(path)


@pytest.mark.parametrize("content", [[], {"annotations": []}])
def test_json_that_is_no_annotation_file(content, tmp_path):
    with pytest.raises(DataError, match="not in COCO's format: it has no list `images`"):
        CocoMetric(write_annotations(content, tmp_path))


@pytest.mark.parametrize(
    ("section", "entries", "words"),
    [
        ("annotations", {"1": {}}, "`annotations` is not a list"),
        ("annotations", [None], r"annotations\[0\] has no ids"),
        ("annotations", [{"id": 1, "image_id": [1], "category_id": 1}], r"annotations\[0\] has no ids"),
        ("images", [{"id": 1}, {"file_name": "a.jpg"}], r"images\[1\] has no ids"),
        ("images", [{"id": 1}, {"id": "two"}], "some ids of `images` are numbers, and others text"),
        ("categories", [{"name": "person"}], r"categories\[0\] has no ids"),
    ],
)
def test_entries_that_are_none(small_truth, tmp_path, section, entries, words):
    with pytest.raises(DataError, match=words):
        CocoMetric(write_annotations({**small_truth, section: entries}, tmp_path))


@pytest.mark.parametrize("box", [[1, 2, 3, "wide"], [1, 2, 3, None], [1, 2, 3, 10**400]])
def test_box_that_holds_something_else_than_numbers(small_truth, samples, tmp_path, box):
    small_truth["annotations"][0]["bbox"] = box
    metric = CocoMetric(write_annotations(small_truth, tmp_path))
    with pytest.raises(DataError, match=r"Some `bbox` of .* holds something else|has `bbox` that are not finite"):
        evaluate(metric, samples, make_meta([0.05] * 3, small_truth))


def test_annotation_file_of_a_test_set(small_truth, tmp_path):
    path = write_annotations({"images": small_truth["images"]}, tmp_path)
    with pytest.raises(DataError, match="has no list `annotations`"):
        CocoMetric(path)
    assert CocoMetric(path, format_only=True, outfile_prefix="results")


def test_missing_annotation_file():
    with pytest.raises(MissingFileError, match=r"The annotation file nowhere\.json does not exist"):
        CocoMetric("nowhere.json")


@pytest.mark.parametrize(
    ("key", "build", "words"),
    [
        ("keypoints", CocoMetric, "Annotation 2 of .* has no `keypoints`"),
        ("num_keypoints", CrowdPoseMetric, "Annotation 2 of .* has no `num_keypoints`"),
    ],
)
def test_annotation_that_lacks_something(small_truth, samples, tmp_path, key, build, words):
    del small_truth["annotations"][1][key]
    metric, meta = build(write_annotations(small_truth, tmp_path)), make_meta([0.05] * 3, small_truth)
    with pytest.raises(DataError, match=words):
        evaluate(metric, samples, meta)


def test_annotations_without_areas_are_enough_for_boxes(small_truth, run, samples, tmp_path):
    expected = run(use_area=False)
    for person in small_truth["annotations"]:
        del person["area"]
    metric = CocoMetric(write_annotations(small_truth, tmp_path), use_area=False)
    assert evaluate(metric, samples, make_meta([0.05] * 3, small_truth)) == expected


def test_annotation_that_is_not_finite(small_truth, samples, tmp_path):
    small_truth["annotations"][0]["keypoints"][0] = float("nan")
    metric = CocoMetric(write_annotations(small_truth, tmp_path))
    with pytest.raises(DataError, match=r"Annotation 1 of .* has `keypoints` that are not finite"):
        evaluate(metric, samples, make_meta([0.05] * 3, small_truth))


def test_image_without_crowd_index(small_truth, samples, tmp_path):
    del small_truth["images"][2]["crowdIndex"]
    metric = CrowdPoseMetric(write_annotations(small_truth, tmp_path))
    with pytest.raises(DataError, match=r"Image 3 of .* has no `crowdIndex`"):
        evaluate(metric, samples, make_meta([0.05] * 3, small_truth))


def test_samples_without_ground_truth_or_predictions(small_truth, samples):
    meta = make_meta([0.05] * 3, small_truth)
    del samples[0]["raw_ann_info"]
    with pytest.raises(DataError, match="put 'raw_ann_info' into the meta_keys"):
        evaluate(CocoMetric(), samples, meta)
    del samples[0]["pred_instances"]
    with pytest.raises(DataError, match="no `pred_instances`"):
        evaluate(CocoMetric(), samples, meta)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"score_mode": "box"}, "score_mode='box' is not one of bbox, bbox_keypoint, bbox_rle, keypoint"),
        ({"nms_mode": "nms"}, "nms_mode='nms' is not one of"),
        ({"iou_type": "bbox"}, "iou_type='bbox' is not one of"),
        ({"format_only": True}, "format_only=True needs outfile_prefix"),
        ({"crowd_index_splits": (0.8, 0.2)}, "two rising numbers"),
        ({"pred_converter": {"num_keypoints": 2, "mapping": [(0, 2)]}}, "targets below num_keypoints=2"),
        ({"gt_converter": {"num_keypoints": 2, "mapping": [((0, 1), 1)]}}, "of integers, not"),
    ],
)
def test_option_with_a_value_that_is_not_allowed(options, words):
    with pytest.raises(ValueError, match=words):
        CocoMetric(**options)


def test_option_that_does_not_exist():
    with pytest.raises(TypeError, match="score_model"):
        CocoMetric(score_model="bbox")


def test_mapping_of_keypoints_that_are_not_there():
    with pytest.raises(ValueError, match="reads keypoint 4 of 3"):
        KeypointMapping(2, (4,), (0,)).apply(np.zeros((1, 3, 2)))
