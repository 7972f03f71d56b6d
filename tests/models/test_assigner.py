"""SimOTA with pose costs: exact small cases, laws, and MMPose's assigner as the oracle."""

import mmpose.models  # noqa: F401  (registers MMPose's assigner)
import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from mmpose.registry import TASK_UTILS as MMPOSE_TASK_UTILS
from torch.testing import assert_close

from rtmo_plugin.keypoints.sets import COCO
from rtmo_plugin.models.assigners import SimOTAAssigner
from rtmo_plugin.models.assigners.sim_ota import compute_class_cost, compute_visibility_cost
from rtmo_plugin.ops.geometry import decode_boxes, make_priors
from rtmo_plugin.structures import DensePredictions, People
from tests.oracle import OFFICIAL_CONFIGS

SIGMAS = torch.tensor(COCO.sigmas)
METAFILE = str(OFFICIAL_CONFIGS.parents[1] / "_base_/datasets/coco.py")
SIZE_WH = torch.tensor([256.0, 192.0])


def make_people(counts, seed=0):
    """Return people of a batch, padded with zeros."""
    generator = torch.Generator().manual_seed(seed)
    num_images, most = len(counts), max(counts)
    size = (0.05 + 0.5 * torch.rand(num_images, most, 2, generator=generator)) * SIZE_WH
    corner = torch.rand(num_images, most, 2, generator=generator) * (SIZE_WH - size)
    keypoints = corner[:, :, None] + torch.rand(num_images, most, 17, 2, generator=generator) * size[:, :, None]
    visible = (torch.rand(num_images, most, 17, generator=generator) > 0.3).float()
    is_person = torch.arange(most) < torch.tensor(counts)[:, None]

    def pad(values):
        return values * is_person.view(*is_person.shape, *[1] * (values.ndim - 2))

    return People(
        is_person=is_person,
        labels=torch.zeros(num_images, most, dtype=torch.long),
        boxes=pad(torch.cat([corner, corner + size], dim=-1)),
        keypoints=pad(keypoints),
        visible=pad(visible),
        visible_weights=pad(torch.ones_like(visible)),
        areas=pad(size.prod(dim=-1) * 0.6),
    )


def make_predictions(people, noise=0.3, seed=0, num_classes=1):
    """Return predictions that are the people of the image in turn, and noise."""
    generator = torch.Generator().manual_seed(seed + 1)

    def randn(*shape):
        return torch.randn(*shape, generator=generator)

    priors = make_priors([(12, 16), (6, 8)], [16, 32])
    shape = len(people.is_person), len(priors.strides)
    deltas = 1 + randn(*shape, 4) * noise
    counts = people.is_person.sum(dim=1).clamp(min=1)[:, None]
    person = torch.arange(shape[1]) % counts
    person = person[..., None, None].expand(-1, -1, 17, 2)
    poses = people.keypoints.gather(1, person) if people.keypoints.shape[1] else torch.zeros(*shape, 17, 2)
    return DensePredictions(
        priors=priors,
        class_logits=randn(*shape, num_classes) - 3,
        box_deltas=deltas,
        boxes=decode_boxes(deltas, priors),
        visibility_logits=randn(*shape, 17),
        pose_vectors=torch.zeros(*shape, 1),
        proxy_keypoints=poses + randn(*shape, 17, 2) * 20 * noise,
    )


def select(record, images, people=slice(None)):
    """Return a record of some images, with some of the people if it is their record."""
    values = vars(record).items()
    if isinstance(record, People):
        return People(**{name: value[images][:, people] for name, value in values})
    return DensePredictions(**{name: value[images] if name != "priors" else value for name, value in values})


def assign_as_mmpose(predictions, people, **options):
    """Assign the first image with MMPose's assigner; return the person and the quality of each prior."""
    init_default_scope("mmpose")
    oks_calculator = {"type": "PoseOKS", "metainfo": METAFILE}
    assigner = MMPOSE_TASK_UTILS.build({"type": "SimOTAAssigner", "oks_calculator": oks_calculator, **options})
    priors = predictions.priors
    result = assigner.assign(
        InstanceData(
            bboxes=predictions.boxes[0],
            scores=predictions.class_logits[0].sigmoid().sqrt(),
            priors=torch.cat([priors.centers, priors.strides[:, None], priors.strides[:, None]], dim=1),
            keypoints=predictions.proxy_keypoints[0],
            keypoints_visible=predictions.visibility_logits[0].sigmoid(),
        ),
        InstanceData(
            bboxes=people.boxes[0],
            labels=people.labels[0],
            keypoints=people.keypoints[0],
            keypoints_visible=people.visible[0],
            areas=people.areas[0],
        ),
    )
    person = result["gt_inds"] - 1
    return person, result["max_overlaps"].masked_fill(person < 0, 0)


# our options, and MMPose's names for them
OPTIONS = [
    ({}, {"dynamic_k_indicator": "oks"}),
    ({"dynamic_k": "iou"}, {"dynamic_k_indicator": "iou"}),
    ({"center": "keypoints"}, {"dynamic_k_indicator": "oks", "use_keypoints_for_center": True}),
    (
        {"vis_weight": 1.0, "iou_weight": 0.0, "cls_weight": 0.5, "oks_weight": 2.0, "center_radius": 1.5, "top_k": 4},
        {
            "dynamic_k_indicator": "oks", "vis_weight": 1.0, "iou_weight": 0.0, "cls_weight": 0.5, "oks_weight": 2.0,
            "center_radius": 1.5, "candidate_topk": 4,
        },
    ),
]  # fmt: skip


@pytest.mark.parametrize(("ours", "theirs"), OPTIONS)
@pytest.mark.parametrize("noise", [0.02, 0.3, 1.0])
@pytest.mark.parametrize("num_people", [1, 9])
def test_equals_mmposes(num_people, noise, ours, theirs):
    for seed in range(3):
        people = make_people([num_people], seed)
        people.visible[0, 0] = 0  # a person of whom nothing is labeled
        predictions = make_predictions(people, noise, seed)
        assignment = SimOTAAssigner(**ours).assign(predictions, people, SIGMAS)
        person, quality = assign_as_mmpose(predictions, people, **theirs)
        assert torch.equal(assignment.person[0], person)
        assert_close(assignment.quality[0], quality, rtol=1e-5, atol=1e-7)
        assert (person >= 0).sum() >= num_people - 1


def test_person_gets_the_prior_that_found_it():
    people = make_people([1])
    predictions = make_predictions(people, noise=1.0)
    inside = (predictions.priors.centers - people.boxes[0, 0].view(2, 2).mean(dim=0)).norm(dim=1).argmin()
    predictions.boxes[0, inside], predictions.proxy_keypoints[0, inside] = people.boxes[0, 0], people.keypoints[0, 0]
    predictions.class_logits[0, inside] = 5.0
    assignment = SimOTAAssigner().assign(predictions, people, SIGMAS)
    assert assignment.person[0, inside] == 0
    assert_close(assignment.quality[0, inside], torch.tensor(1.0))
    assert (assignment.quality[assignment.person < 0] == 0).all()


def test_batch_is_its_images_one_by_one_whatever_the_padding():
    people = make_people([3, 0, 7, 1])
    predictions = make_predictions(people)
    together = SimOTAAssigner().assign(predictions, people, SIGMAS)
    for image, count in enumerate([3, 0, 7, 1]):
        one = slice(image, image + 1)
        alone = SimOTAAssigner().assign(select(predictions, one), select(people, one, slice(count)), SIGMAS)
        assert torch.equal(alone.person[0], together.person[image])
        assert_close(alone.quality[0], together.quality[image])
        assert set(alone.person.unique().tolist()) - {-1} <= set(range(count))
    assert (together.person[1] == -1).all()


def test_order_of_people_does_not_matter():
    people = make_people([6])
    predictions = make_predictions(people)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    expected = SimOTAAssigner().assign(predictions, people, SIGMAS)
    got = SimOTAAssigner().assign(predictions, select(people, slice(None), order), SIGMAS)
    assert torch.equal(torch.where(got.person >= 0, order[got.person.clamp(min=0)], -1), expected.person)
    assert_close(got.quality, expected.quality)


def test_nobody_in_the_batch():
    people = make_people([0, 0])
    assignment = SimOTAAssigner().assign(make_predictions(people), people, SIGMAS)
    assert (assignment.person == -1).all()
    assert (assignment.quality == 0).all()


@pytest.mark.parametrize("center", ["box", "keypoints"])
def test_people_of_whom_nothing_is_labeled_get_one_prior_each(center):
    people = make_people([3])
    people.visible.zero_()
    assignment = SimOTAAssigner(center=center).assign(make_predictions(people), people, SIGMAS)
    assert assignment.person[assignment.person >= 0].sort().values.tolist() == [0, 1, 2]
    assert (assignment.quality == 0).all()


def test_hundred_people():
    people = make_people([100])
    predictions = make_predictions(people)
    assignment = SimOTAAssigner().assign(predictions, people, SIGMAS)
    person, _ = assign_as_mmpose(predictions, people, dynamic_k_indicator="oks")
    assert torch.equal(assignment.person[0], person)
    assert len(assignment.person.unique()) > 40


def test_keypoints_move_the_centre_of_a_person():
    """All joints in a corner of the box: a prior there is chosen, not one in the middle of the box."""
    people = make_people([1])
    people.boxes[0, 0], people.visible[0, 0] = torch.tensor([0.0, 0, 250, 190]), 1.0
    people.keypoints[0, 0] = 20.0
    predictions = make_predictions(people, noise=0.0)
    for center, near in (("box", [125.0, 95.0]), ("keypoints", [20.0, 20.0])):
        person = SimOTAAssigner(center=center).assign(predictions, people, SIGMAS).person[0]
        chosen = predictions.priors.centers[person >= 0]
        assert len(chosen) == 10
        assert ((chosen - torch.tensor(near)).abs().amax(dim=1) < 2.5 * 32).all()


def test_class_cost_is_the_cross_entropy_of_the_root_of_the_probability():
    logits, labels = torch.randn(2, 5, 3) * 3, torch.tensor([[0, 2], [1, 1]])
    score = logits.sigmoid().sqrt()[:, :, None].expand(-1, -1, 2, -1)
    truth = F.one_hot(labels, 3).float()[:, None].expand(-1, 5, -1, -1)
    expected = F.binary_cross_entropy(score, truth, reduction="none").sum(dim=-1)
    assert_close(compute_class_cost(logits, labels), expected)


def test_class_cost_of_certain_scores_is_finite():
    cost = compute_class_cost(torch.tensor([[[200.0], [-300.0]]]), torch.zeros(1, 1, dtype=torch.long))
    assert cost.flatten().tolist() == [0.0, 100.0]


def test_visibility_cost_is_the_cross_entropy():
    logits, visible = torch.randn(2, 5, 17) * 4, (torch.rand(2, 3, 17) > 0.5).float()
    expected = F.binary_cross_entropy_with_logits(
        logits[:, :, None].expand(-1, -1, 3, -1), visible[:, None].expand(-1, 5, -1, -1), reduction="none"
    ).sum(dim=-1)
    assert_close(compute_visibility_cost(logits, visible), expected, rtol=1e-5, atol=1e-5)


def test_prior_of_the_right_class_is_preferred():
    people = make_people([1])
    people.labels[0, 0] = 2
    predictions = make_predictions(people, noise=0.0, num_classes=3)
    predictions.class_logits.fill_(-4.0)
    central = (
        (predictions.priors.centers - people.boxes[0, 0].view(2, 2).mean(dim=0)).abs().amax(dim=1) < 16
    ).nonzero()
    right = int(central[-1])
    predictions.class_logits[0, right, 2] = 4.0
    people.visible.zero_()  # so that one prior is chosen, by the class
    assert SimOTAAssigner().assign(predictions, people, SIGMAS).person[0, right] == 0
    people.labels[0, 0] = 1
    assert SimOTAAssigner().assign(predictions, people, SIGMAS).person[0, right] == -1


def test_assignment_is_not_differentiated():
    people = make_people([2])
    predictions = make_predictions(people)
    predictions.proxy_keypoints.requires_grad_()
    assert not SimOTAAssigner().assign(predictions, people, SIGMAS).quality.requires_grad


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"dynamic_k": "giou"}, "dynamic_k is 'oks' or 'iou', got 'giou'"),
        ({"center": "head"}, "center is 'box' or 'keypoints', got 'head'"),
        ({"top_k": 0}, "top_k is at least 1, got 0"),
    ],
)
def test_wrong_options(option, message):
    with pytest.raises(ValueError, match=message):
        SimOTAAssigner(**option)


def test_proxy_poses_are_needed():
    people = make_people([1])
    predictions = DensePredictions(**vars(make_predictions(people)) | {"proxy_keypoints": None})
    with pytest.raises(ValueError, match="call the head module with with_proxy=True"):
        SimOTAAssigner().assign(predictions, people, SIGMAS)
