"""People in arrays of fixed sizes are those of the prediction, and nothing on the way depends on numbers."""

from contextlib import nullcontext

import numpy as np
import pytest
import torch
from mmpose.structures import PoseDataSample
from torch.utils._python_dispatch import TorchDispatchMode

from rtmo_plugin.export import people_graph
from rtmo_plugin.export.export_options import ExportOptions
from rtmo_plugin.export.graphs import ImageInput
from rtmo_plugin.export.people_graph import NUM_COUNTS, GraphProblem, PeopleGraph
from rtmo_plugin.models.heads.dense import decode_dense
from rtmo_plugin.models.heads.selection import select_priors
from rtmo_plugin.runtime.letterbox import apply_letterbox
from rtmo_plugin.runtime.letterbox_samples import describe_letterbox
from tests.export.conftest import build_tiny
from tests.tiny_files import make_image

SIZE_WH = (96, 64)
DATA_DEPENDENT = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}
TYPES = [torch.float32, torch.float16, torch.bfloat16]


class RefuseWaits(TorchDispatchMode):
    """Refuses operators whose results or shapes a program reads back, and numbers that come from Python's memory."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        assert not DATA_DEPENDENT & set(func.tags), func
        assert func is not torch.ops.aten.lift_fresh.default, func
        return func(*args, **(kwargs or {}))


def make_graph(model, *, dtype=torch.float32, nms_pre=None, **options):
    values = {"score_thr": 0.1, "top_k": 512, "max_people": 100, **options}
    given = ExportOptions(SIZE_WH, cut="decoded", input="uint8", **values)
    return PeopleGraph(model, given, dtype=dtype, nms_pre=nms_pre).eval()


def place(images):
    """Return the pixels of images one behind the other, and the numbers that say where."""
    rows, start = [], 0
    for image in images:
        row = describe_letterbox(image.shape[1::-1], SIZE_WH).copy()
        row[: 2 * SIZE_WH[1]] += start
        rows.append(row)
        start += image.size
    pixels = np.concatenate([image.ravel() for image in images])
    return torch.from_numpy(pixels), torch.from_numpy(np.stack(rows))


@torch.no_grad()
def find(graph, images):
    """Return (number of people, problem, people) of each image."""
    rows, _, *maps = graph(*place(images))
    assert len(maps) == 4 * len(graph.head.strides)
    people = rows[:, NUM_COUNTS:].reshape(len(images), -1, graph.num_values)
    return [(int(row[0]), GraphProblem(int(row[1])), each) for row, each in zip(rows, people)]


@torch.no_grad()
def predict(model, image, **test_cfg):
    """Return what the head predicts for an image, in pixels of the image."""
    padded, letterbox = apply_letterbox(image, SIZE_WH)
    inputs = ImageInput(model.data_preprocessor, "uint8")(torch.from_numpy(padded[None]))
    sample = PoseDataSample(metainfo={"input_size": SIZE_WH})
    feats = model.extract_feat(inputs)
    (people,) = model.head.predict(feats, [sample], {"score_thr": 0.1, "nms_thr": 0.65, **test_cfg})
    people.keypoints = letterbox.restore(people.keypoints)
    people.bboxes = letterbox.restore(people.bboxes.reshape(-1, 2, 2)).reshape(-1, 4)
    if "keypoint_deviations" in people:
        people.keypoint_deviations = letterbox.rescale(people.keypoint_deviations)
    return people


def check(found, expected, num_keypoints=17):
    """Compare the people of an image with those of the prediction, in the same order."""
    number, problem, people = found
    assert problem == GraphProblem(0)
    assert number == len(expected.scores)
    assert not people[number:].any()  # padding
    people = people[:number].numpy()
    np.testing.assert_allclose(people[:, :4], expected.bboxes, rtol=0, atol=0.01)
    np.testing.assert_allclose(people[:, 4], expected.scores, rtol=0, atol=1e-4)
    np.testing.assert_array_equal(people[:, 5], expected.labels)
    keypoints = people[:, 6 : 6 + 3 * num_keypoints].reshape(number, num_keypoints, 3)
    np.testing.assert_allclose(keypoints[..., :2], expected.keypoints, rtol=0, atol=0.05)
    np.testing.assert_allclose(keypoints[..., 2], expected.keypoint_scores, rtol=0, atol=1e-4)


IMAGES = [make_image(150, 70), make_image(33, 81, 1), make_image(96, 64, 2), make_image(7, 300, 3), make_image(1, 1, 4)]


@pytest.mark.parametrize("size", [1, 2, 5])
def test_people_are_those_of_the_prediction(tiny, size):
    options = {"score_thr": 0.225, "nms_thr": 0.02}
    graph = make_graph(tiny, **options)
    found = [people for first in range(0, 5, size) for people in find(graph, IMAGES[first : first + size])]
    for image, people in zip(IMAGES, found, strict=True):
        check(people, predict(tiny, image, **options))
    assert all(0 < number < 30 for number, _, _ in found)


@pytest.mark.parametrize(
    "options",
    [{"score_thr": 0.0}, {"score_thr": 0.25}, {"nms_thr": 0.0}, {"nms_thr": 0.3}, {"nms_thr": 1.0}, {"nms_pre": 3}],
)
def test_thresholds_and_nms_pre_are_those_of_the_prediction(tiny, options):
    check(find(make_graph(tiny, **options), IMAGES[:1])[0], predict(tiny, IMAGES[0], **options))


def test_nobody_is_no_problem(tiny):
    ((number, problem, people),) = find(make_graph(tiny, score_thr=0.999), IMAGES[:1])
    assert (number, problem, bool(people.any())) == (0, GraphProblem(0), False)


def test_equal_scores_have_the_order_of_the_priors():
    model = build_tiny()
    for each in model.head.head_module.out_cls:
        torch.nn.init.zeros_(each.weight)
        torch.nn.init.constant_(each.bias, 1.0)
    expected = predict(model, IMAGES[0])
    assert len(set(expected.scores.tolist())) == 1 < len(expected.scores)
    check(find(make_graph(model), IMAGES[:1])[0], expected)


def test_classes_are_labels():
    model = build_tiny(head={"num_classes": 3})
    expected = predict(model, IMAGES[0])
    assert len(set(expected.labels.tolist())) > 1
    check(find(make_graph(model), IMAGES[:1])[0], expected)


def test_deviations_are_those_of_the_prediction(tiny):
    ((number, _, people),) = find(make_graph(tiny, uncertainty=True), IMAGES[:1])
    expected = predict(tiny, IMAGES[0], uncertainty=True)
    np.testing.assert_allclose(
        people[:number, 57:].reshape(number, 17, 2), expected.keypoint_deviations, rtol=0.01, atol=0.01
    )


def test_more_than_fits_is_reported_image_by_image(tiny, monkeypatch):
    _, (num_people, *_) = find(make_graph(tiny), IMAGES[1:3])
    assert num_people > 3
    ((_, problem, _),) = find(make_graph(tiny, top_k=5), IMAGES[:1])
    assert GraphProblem.MANY_CANDIDATES in problem
    ((_, problem, _),) = find(make_graph(tiny, top_k=5, nms_pre=5), IMAGES[:1])
    assert problem == GraphProblem(0)
    found = find(make_graph(tiny, max_people=num_people), IMAGES[2:3])
    assert [problem for _, problem, _ in found] == [GraphProblem(0)]
    found = find(make_graph(tiny, max_people=num_people - 1), IMAGES[2:3])
    assert [problem for _, problem, _ in found] == [GraphProblem.MANY_PEOPLE]
    monkeypatch.setattr(people_graph, "_NUM_ROUNDS", 1)
    ((_, problem, _),) = find(make_graph(tiny, nms_thr=0.01), IMAGES[:1])
    assert problem == GraphProblem.LONG_CHAINS
    assert "NMS takes more than 1 rounds" in problem.explain()


def test_numbers_that_are_not_finite_are_reported():
    model = build_tiny()
    torch.nn.init.constant_(model.head.head_module.out_cls[1].bias, float("nan"))
    ((_, problem, _),) = find(make_graph(model), IMAGES[:1])
    assert GraphProblem.NOT_FINITE in problem
    assert (problem | GraphProblem.MANY_PEOPLE).explain() == "numbers are not finite"


@pytest.mark.parametrize(
    ("recipe", "dtype", "bin_layout"),
    [
        *(("rtmo-t_coco", dtype, "dynamic") for dtype in TYPES),
        ("rtmo-s_coco", torch.float16, "dynamic"),
        ("rtmo-t_coco", torch.float32, "image"),
    ],
)
def test_nothing_depends_on_numbers(recipe, dtype, bin_layout):
    model = build_tiny(recipe)
    model.head.dcc.bin_layout = bin_layout
    graph = make_graph(model, dtype=dtype, uncertainty=True)
    given = place(IMAGES[:2])
    with torch.no_grad():
        graph(*given)  # the first call keeps the priors
        with RefuseWaits():
            graph(*given)


@pytest.mark.parametrize("dtype", TYPES)
def test_every_tensor_is_on_the_device_of_the_model(monkeypatch, dtype):
    """The device "meta" has no values, and refuses most operators with tensors of the CPU and of it."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # which "meta" does not have
    graph = make_graph(build_tiny(), dtype=dtype, uncertainty=True).to("meta")
    with torch.no_grad():
        outputs = graph(*(each.to("meta") for each in place(IMAGES[:2])))
    assert {each.device.type for each in outputs} == {"meta"}


def test_waits_would_be_found(tiny):
    with pytest.raises(AssertionError, match="nonzero"), RefuseWaits():
        torch.ones(3).nonzero()
    with pytest.raises(AssertionError, match="lift_fresh"), RefuseWaits():
        torch.tensor([1.0])
    with torch.no_grad():
        predictions = decode_dense(make_graph(tiny).compute_maps(torch.zeros(1, 64, 96, 3)), tiny.head.strides)
        with pytest.raises(AssertionError, match="_local_scalar_dense"), RefuseWaits():
            select_priors(predictions)


@pytest.mark.parametrize("dtype", TYPES[1:])
def test_half_precision_is_for_the_network_alone(tiny, dtype):
    graph = make_graph(tiny, dtype=dtype)
    kinds = {name.partition(".")[0]: each.dtype for name, each in graph.named_parameters()}
    assert kinds["backbone"] == kinds["neck"] == dtype
    assert {each.dtype for each in graph.head.dcc.parameters()} == {torch.float32}
    with torch.no_grad():
        rows, _, *maps = graph(*place(IMAGES[:1]))
        expected = make_graph(tiny).compute_maps(make_graph(tiny).make_input(*place(IMAGES[:1])))
    assert {each.dtype for each in (rows, *maps)} == {torch.float32}
    flat = [each for levels in expected for each in levels]
    for found, one in zip(maps, flat, strict=True):
        assert 0 < float((found - one).norm() / one.norm()) < (0.02 if dtype == torch.float16 else 0.15)
