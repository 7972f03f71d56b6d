import pytest
import torch
from mmengine.structures import PixelData

from rtmo_plugin.models.heads.dense import decode_dense
from rtmo_plugin.models.heads.training_targets import build_targets, collect_people
from rtmo_plugin.structures import Assignment, DensePredictions
from tests.oracle import make_samples
from tests.small_head import SIZE_WH, build_ours, make_features

COUNTS = [3, 0, 1]
FIELDS = {
    "boxes": "bboxes",
    "keypoints": "keypoints",
    "visible": "keypoints_visible",
    "visible_weights": "keypoints_visible_weights",
    "areas": "areas",
    "labels": "labels",
}


@pytest.fixture
def samples():
    return make_samples(COUNTS, 17, SIZE_WH)


@pytest.fixture
def predictions():
    return decode_dense(build_ours().head_module(make_features(3), with_proxy=True), (16, 32))


def test_people_are_padded_with_zeros(samples):
    people = collect_people(samples, 1, 17, torch.float64)
    assert people.is_person.tolist() == [[True] * 3, [False] * 3, [True, False, False]]
    for ours, theirs in FIELDS.items():
        padded = getattr(people, ours)
        assert padded.shape[:2] == (3, 3)
        assert padded.dtype == (torch.long if ours == "labels" else torch.float64)
        for image, count in enumerate(COUNTS):
            assert torch.equal(padded[image, :count], samples[image].gt_instance_labels[theirs].to(padded.dtype))
            assert (padded[image, count:] == 0).all()


def test_nobody_in_the_batch():
    people = collect_people(make_samples([0, 0]), 1, 17)
    assert people.is_person.shape == (2, 0)
    assert people.keypoints.shape == (2, 0, 17, 2)


def test_visibility_labels_count_fully_where_no_weights_are_given(samples):
    del samples[2].gt_instance_labels.keypoints_visible_weights
    weights = collect_people(samples, 1, 17).visible_weights
    assert (weights[2, 0] == 1).all()
    assert torch.equal(weights[0], samples[0].gt_instance_labels.keypoints_visible_weights)


def test_other_number_of_keypoints_names_the_image(samples):
    samples[2] = make_samples([1], 14, SIZE_WH)[0]
    with pytest.raises(
        ValueError, match=r"^image0\.jpg: keypoints have shape \(1, 14, 2\), .* 17 keypoints: check head"
    ):
        collect_people(samples, 1, 17)


def test_corners_instead_of_boxes_name_the_image(samples):
    """As BottomupRandomAffine gives by default."""
    index = next(i for i, sample in enumerate(samples) if len(sample.gt_instance_labels.bboxes))
    labels = samples[index].gt_instance_labels
    corners = labels.bboxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)
    del labels.bboxes
    labels.bboxes = corners
    with pytest.raises(ValueError, match=rf"^image{index}\.jpg: boxes have shape .* set bbox_keep_corner=False"):
        collect_people(samples, 1, 17)


def test_other_classes_name_the_image(samples):
    samples[2].gt_instance_labels.labels[0] = 3
    with pytest.raises(ValueError, match=r"^image2\.jpg: class labels \[3\] are not within 0\.\.2: "):
        collect_people(samples, 3, 17)
    assert collect_people(samples, 4, 17).labels[2].tolist() == [3, 0, 0]


def assign(num_priors, **people):
    """Return an assignment of {image: {prior: person}}."""
    person = torch.full((3, num_priors), -1)
    for image, pairs in people.items():
        for prior, index in pairs.items():
            person[int(image[-1]), prior] = index
    return Assignment(person, torch.where(person >= 0, 0.1 * torch.arange(num_priors), 0.0))


def test_targets_are_gathered_image_by_image_in_the_order_of_priors(samples, predictions):
    people = collect_people(samples, 1, 17)
    assignment = assign(predictions.boxes.shape[1], image0={7: 2, 3: 0}, image2={5: 0})
    targets = build_targets(predictions, people, assignment, samples)
    assert (targets.image.tolist(), targets.prior.tolist()) == ([0, 0, 2], [3, 7, 5])
    assert targets.quality.tolist() == pytest.approx([0.3, 0.7, 0.5])
    picked = ([0, 0, 2], [0, 2, 0])
    for name in ("labels", "boxes", "keypoints", "visible", "visible_weights", "areas"):
        assert torch.equal(getattr(targets, name), getattr(people, name)[picked])
    assert torch.equal(targets.class_weights, torch.ones(3, predictions.boxes.shape[1], 1))


def place_people(predictions, points, visibility=5.0):
    """Return predictions whose first priors have all proxy keypoints at ``points``."""
    poses, logits = predictions.proxy_keypoints.clone(), torch.full_like(predictions.visibility_logits, visibility)
    for prior, point in enumerate(points):
        poses[:, prior] = torch.tensor(point)
    return DensePredictions(**vars(predictions) | {"proxy_keypoints": poses, "visibility_logits": logits})


def weigh(predictions, samples):
    assignment = assign(predictions.boxes.shape[1])
    return build_targets(predictions, collect_people(samples, 1, 17), assignment, samples).class_weights[..., 0]


def test_priors_whose_person_stands_where_nobody_is_labeled_do_not_count(samples, predictions):
    mask = torch.zeros(1, 96, 128)
    mask[:, 48:, 64:] = 1
    samples[0].gt_fields = PixelData(heatmap_mask=mask)
    points = [[100.0, 80.0], [100.0, 20.0], [20.0, 80.0], [500.0, 80.0], [-20.0, 80.0]]
    weights = weigh(place_people(predictions, points), samples)
    assert weights[0, :5].tolist() == [0, 1, 1, 1, 1]
    assert (weights[1:] == 1).all()


def test_image_in_which_nobody_is_labeled_counts_fully(samples, predictions):
    for sample in samples[:2]:
        sample.gt_fields = PixelData(heatmap_mask=torch.ones(1, 96, 128))
    weights = weigh(place_people(predictions, [[60.0, 50.0]]), samples)
    assert weights[:, 0].tolist() == [0, 1, 1]


def test_person_stands_at_the_mean_of_its_visible_keypoints(samples, predictions):
    mask = torch.zeros(1, 96, 128)
    mask[:, :, 64:] = 1
    samples[0].gt_fields = PixelData(heatmap_mask=mask)
    predictions = place_people(predictions, [[100.0, 50.0]] * 2)
    predictions.proxy_keypoints[0, :2, 4:] = torch.tensor([0.0, 50.0])  # most keypoints at the left border
    assert weigh(predictions, samples)[0, :2].tolist() == [1, 1]
    predictions.visibility_logits[0, 1, 4:] = -5.0  # of which the second prior sees none
    assert weigh(predictions, samples)[0, :2].tolist() == [1, 0]


def test_weights_are_not_differentiated(samples, predictions):
    samples[0].gt_fields = PixelData(heatmap_mask=torch.ones(1, 96, 128))
    assert predictions.proxy_keypoints.requires_grad
    assert not weigh(predictions, samples).requires_grad
