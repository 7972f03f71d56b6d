"""A checkpoint by replays finds the people that it finds without, whatever the images, batches and threads.

On the CPU a stand-in for CUDA graphs computes into fixed memory. ``test_gpu_prediction.py`` has the real ones.
"""

import gc
import warnings
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from rtmo_plugin.engine.loaded_model import load_model
from rtmo_plugin.engine.recordings import ForwardRecording
from rtmo_plugin.errors import ConfigError, DataError
from rtmo_plugin.export import people_graph
from rtmo_plugin.pose import checkpoint_model, replayed_model
from rtmo_plugin.pose.checkpoint_model import CheckpointModel
from rtmo_plugin.pose.graph_building import build_people_graph, find_graph_obstacle
from rtmo_plugin.pose.pose import Pose
from rtmo_plugin.pose.replayed_model import ReplayedModel
from tests.operators import count_operators, select_waits_and_copies
from tests.replays import FailingForwardRecorder, ForwardMemoryRecorder, StaleForwardRecorder
from tests.tiny_files import make_image

IMAGES = [make_image(150, 70), make_image(33, 81, 1), make_image(96, 64, 2), make_image(7, 300, 3), make_image(1, 1, 4)]
SHOWN = {"model.test_cfg.score_thr": 0.24, "model.test_cfg.nms_thr": 0.3}


@pytest.fixture(scope="module")
def loaded(tiny_model):
    return load_model(*tiny_model, device="cpu", cfg_options=SHOWN)


@pytest.fixture(scope="module")
def graph(loaded):
    return build_people_graph(loaded, torch.float32)


@pytest.fixture(scope="module")
def eager(tiny_model):
    return CheckpointModel(*tiny_model, device="cpu", score_thr=0.0, cfg_options=SHOWN)


@pytest.fixture(scope="module")
def expected(eager):
    return eager.predict_batch(IMAGES)


@pytest.fixture
def open_replayed(tiny_model, monkeypatch):
    """Return a function that opens a checkpoint with a stand-in for CUDA graphs, and the recorders that it made."""
    recorders = []

    def open_with(recorder=ForwardMemoryRecorder, **options):
        monkeypatch.setattr(checkpoint_model, "CUDARecorder", lambda: recorders.append(recorder()) or recorders[-1])
        given = {"device": "cpu", "score_thr": 0.0, "cfg_options": SHOWN, "precision": "float32", **options}
        return CheckpointModel(*tiny_model, **given)

    return open_with, recorders


def peek(model):
    """Return the lane that a model takes next."""
    lane = model._lanes.get()
    model._lanes.put(lane)
    return lane


def check(found, expected):
    assert len(found) == len(expected)
    for people, others in zip(found, expected):
        assert len(people) == len(others)
        np.testing.assert_allclose(people.boxes, others.boxes, rtol=0, atol=0.01)
        np.testing.assert_allclose(people.scores, others.scores, rtol=0, atol=1e-4)
        np.testing.assert_allclose(people.keypoints, others.keypoints, rtol=0, atol=0.05)
        np.testing.assert_allclose(people.keypoint_scores, others.keypoint_scores, rtol=0, atol=1e-4)
        np.testing.assert_array_equal(people.labels, others.labels)


def test_people_are_those_without_graphs_in_batches_of_all_sizes(graph, expected):
    recorder = ForwardMemoryRecorder()
    model = ReplayedModel(graph, [recorder])
    for size in (1, 2, 3, 5):
        found = [each for first in range(0, 5, size) for each in model.predict(IMAGES[first : first + size])]
        check(found, expected)
    assert [shape[0] for shape in recorder.shapes] == [1, 2, 3, 5]  # 2 after 3 is computed by the recording for 2
    assert [len(people) for people in expected] == [5] * 5


def test_few_recordings_serve_all_numbers(graph, expected):
    recorder = ForwardMemoryRecorder()
    model = ReplayedModel(graph, [recorder])
    images, people = (IMAGES * 4)[:18], (expected * 4)[:18]
    for number in range(7, 19):
        check(model.predict(images[:number]), people[:number])
    assert [shape[0] for shape in recorder.shapes] == [7, 8, 10, 12, 14, 16, 20]


def test_a_smaller_batch_is_filled_up_and_one_much_smaller_is_recorded(graph, expected):
    recorder = ForwardMemoryRecorder()
    model = ReplayedModel(graph, [recorder])
    for size in (5, 4, 3, 2, 1):
        check(model.predict(IMAGES[:size]), expected[:size])
    assert [shape[0] for shape in recorder.shapes] == [5, 2]


def test_larger_images_are_recorded_again(graph, eager):
    recorder = ForwardMemoryRecorder()
    model = ReplayedModel(graph, [recorder])
    large = make_image(2000, 1500)  # 9 MB
    for image in (IMAGES[0], large, IMAGES[0], large[:1400]):
        check(model.predict([image]), eager.predict_batch([image]))
    assert (len(recorder.shapes), recorder.num_releases) == (2, 1)  # PyTorch refuses a pool without a graph


def test_a_replaced_recording_is_freed_at_once(graph):
    """Garbage that is collected within a capture would make it invalid."""
    model = ReplayedModel(graph, [ForwardMemoryRecorder()])
    model.predict(IMAGES[:1])
    gc.disable()
    try:
        first = weakref.ref(next(iter(peek(model)._plans.values())))
        model.predict([make_image(2000, 1500)])
        assert first() is None
    finally:
        gc.enable()


def test_pinned_memory_is_a_power_of_two(graph):
    model = ReplayedModel(graph, [ForwardMemoryRecorder()])
    model.predict(IMAGES[:2])
    (plan,) = peek(model)._plans.values()
    assert plan._host.numel() == 1 << 23
    model.predict([make_image(2000, 1500)] * 2)
    (plan,) = peek(model)._plans.values()
    assert plan._host.numel() == 1 << 25
    assert plan.num_bytes > 1 << 24


def test_many_images_are_computed_in_parts(graph, expected, monkeypatch):
    recorder = ForwardMemoryRecorder()
    model = ReplayedModel(graph, [recorder])
    monkeypatch.setattr(replayed_model, "_LARGEST_BATCH", 2)
    check(model.predict(IMAGES), expected)
    assert [shape[0] for shape in recorder.shapes] == [2]
    monkeypatch.setattr(replayed_model, "_MOST_BYTES", IMAGES[0].size)
    check(model.predict([IMAGES[1], IMAGES[0]]), [expected[1], expected[0]])
    assert model.predict([make_image(200, 200)]) == [None]  # larger than any replay
    assert model.predict([]) == []


def test_a_batch_is_two_copies_and_no_other_wait(graph, monkeypatch):
    model = ReplayedModel(graph, [ForwardMemoryRecorder()])
    model.predict(IMAGES[:2])
    (plan,) = peek(model)._plans.values()
    outputs = plan._recording.outputs
    monkeypatch.setattr(plan, "_recording", ForwardRecording(outputs, lambda: None))  # what a GPU does by itself
    counts = count_operators(model.predict, IMAGES[:2])
    assert select_waits_and_copies(counts) == {"copy_": 2}
    assert sum(counts.values()) < 8


def test_images_need_not_be_contiguous(graph, eager):
    model = ReplayedModel(graph, [ForwardMemoryRecorder()])
    mirrored = IMAGES[0][:, ::-1]
    check(model.predict([mirrored]), eager.predict_batch([np.ascontiguousarray(mirrored)]))


def test_threads_have_memory_of_their_own(graph, expected):
    recorders = [ForwardMemoryRecorder() for _ in range(2)]
    model = ReplayedModel(graph, recorders)
    order = list(range(5)) * 4
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda number: model.predict([IMAGES[number]])[0], order))
    check(found, [expected[number] for number in order])
    assert sum(each.num_replays for each in recorders) >= len(order)


@pytest.mark.parametrize(
    ("recorder", "reason"),
    [
        (StaleForwardRecorder, "images of a replay differ from those of the network itself"),
        (FailingForwardRecorder, r"the network cannot be recorded \(operation not permitted"),
    ],
)
def test_what_cannot_be_replayed_is_computed_without_after_one_warning(open_replayed, expected, recorder, reason):
    open_with, _ = open_replayed
    with pytest.warns(UserWarning, match=f"CUDA graphs are not used: {reason}") as found:
        model = open_with(recorder)
    assert len(found) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        check(model.predict_batch(IMAGES), expected)


def test_an_overflow_in_half_precision_is_named(loaded):
    graph = build_people_graph(loaded, torch.float16)
    for weight in graph.backbone.parameters():
        weight.mul_(100)
    model = ReplayedModel(graph, [ForwardMemoryRecorder()])
    with pytest.warns(UserWarning, match="the network computes numbers that are not finite in float16"):
        assert model.predict(IMAGES[:1]) == [None]


def test_images_that_overflow_do_not_end_the_graphs(loaded, expected):
    """A larger batch is recorded with images for which the network has no answer."""
    recorder, white = ForwardMemoryRecorder(), np.full((64, 96, 3), 255, np.uint8)
    graph = build_people_graph(loaded, torch.float32)
    graph.backbone.register_forward_pre_hook(lambda _, given: given[0] / (given[0].mean((1, 2, 3), True) < 250))
    model = ReplayedModel(graph, [recorder])
    check(model.predict(IMAGES[:1]), expected[:1])
    for _ in range(2):
        with pytest.warns(UserWarning, match="without CUDA graphs where numbers are not finite"):
            people, nobody = model.predict([IMAGES[1], white])
        check([people], [expected[1]])
        assert nobody is None
    assert [shape[0] for shape in recorder.shapes] == [1, 2]


def test_a_number_that_cannot_be_recorded_is_no_obstacle_to_others(graph, expected):
    class SmallMemory(ForwardMemoryRecorder):
        def record_forward(self, function, given):
            recording = super().record_forward(function, given)
            if self.shapes[-1][0] > 2:
                raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
            return recording

    recorder = SmallMemory()
    model = ReplayedModel(graph, [recorder])
    check(model.predict(IMAGES[:1]), expected[:1])
    with pytest.warns(UserWarning, match="CUDA graphs are not used for 5 images at a time: the GPU has too little"):
        assert model.predict(IMAGES) == [None] * 5
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        assert model.predict(IMAGES) == [None] * 5
        check(model.predict(IMAGES[:2]), expected[:2])
    assert [shape[0] for shape in recorder.shapes] == [1, 5, 2]
    assert model.failure is None


def test_images_with_too_many_people_are_computed_without(open_replayed, expected, monkeypatch):
    open_with, recorders = open_replayed
    monkeypatch.setattr("rtmo_plugin.pose.graph_building.MAX_PEOPLE", 4)
    model = open_with()
    num_replays = recorders[0].num_replays
    with pytest.warns(UserWarning, match=f"without CUDA graphs where there are more than {people_graph.MAX_PEOPLE}"):
        check(model.predict_batch(IMAGES[:1]), expected[:1])
    assert sum(each.num_replays for each in recorders) > num_replays


def test_graphs_are_the_default_and_warmed_up(open_replayed, expected):
    open_with, recorders = open_replayed
    model = open_with()
    assert (model.streams, len(recorders)) == (2, 2)
    for number in range(2):
        check(model.predict_batch(IMAGES[number : number + 1]), expected[number : number + 1])
    assert [len(each.shapes) for each in recorders] == [1, 0]  # the warm-up has recorded for them
    check(model.predict_batch(IMAGES), expected)
    assert model.time_parts(IMAGES[0])["network"] > 0
    above = open_with(score_thr=0.28, streams=3)
    assert above.streams == 3
    check(above.predict_batch(IMAGES[:1]), [expected[0].select(slice(3))])


def test_uncertainty_is_that_without_graphs(open_replayed, tiny_model):
    open_with, _ = open_replayed
    options = {"device": "cpu", "score_thr": 0.0, "cfg_options": SHOWN, "uncertainty": True}
    (plain,) = CheckpointModel(*tiny_model, graphs=False, **options).predict_batch(IMAGES[:1])
    (found,) = open_with(uncertainty=True).predict_batch(IMAGES[:1])
    np.testing.assert_allclose(found.uncertainty, plain.uncertainty, rtol=0.01, atol=0.01)


def test_images_without_pixels_are_refused_by_name(open_replayed):
    with pytest.raises(DataError, match=r"b\.jpg has no pixels"):
        open_replayed[0]().predict_batch([IMAGES[0], np.zeros((0, 5, 3), np.uint8)], ["a.jpg", "b.jpg"])


@pytest.mark.parametrize(("precision", "limit"), [("auto", 0.01), ("bfloat16", 0.1)])
def test_half_precision_finds_the_same_people(open_replayed, expected, precision, limit):
    (found,) = open_replayed[0](precision=precision).predict_batch(IMAGES[:1])
    assert 0 < abs(found.scores[0] - expected[0].scores[0]) < limit


def test_options_of_graphs_need_them(tiny_model):
    config, checkpoint = tiny_model
    with pytest.raises(ConfigError, match="precision float16 with CUDA graphs alone, and they need an NVIDIA GPU"):
        Pose(checkpoint, config=config, device="cpu", precision="float16")
    with pytest.raises(ConfigError, match="2 streams with CUDA graphs alone, and they are turned off"):
        Pose(checkpoint, config=config, device="cpu", graphs=False, streams=2)
    with pytest.raises(ConfigError, match="The precision int4 is unknown"):
        Pose(checkpoint, config=config, device="cpu", precision="int4")
    assert Pose(checkpoint, config=config, device="cpu", precision="float32")._streams == 1


def find(loaded, recorder=ForwardMemoryRecorder):
    return find_graph_obstacle(loaded, recorder())


def test_models_and_pipelines_that_are_computed_otherwise_are_found(tiny_model):
    loaded = load_model(*tiny_model, device="cpu")
    assert find(loaded) is None
    pipeline = loaded.cfg.test_dataloader.dataset.pipeline
    changes = [
        (lambda: loaded.model.test_cfg.update(flip_test=True), "test_cfg has flip_test"),
        (lambda: pipeline[1].update(use_udp=True), "BottomupResize has other options"),
        (lambda: pipeline.insert(1, {"type": "Albumentation"}), "the test pipeline has other steps"),
        (lambda: setattr(loaded.model.head, "coordinates", "proxy"), "its keypoints come from the proxy"),
        (lambda: setattr(loaded.model, "head", torch.nn.Identity()), "Identity has a prediction of its own"),
    ]
    for change, reason in reversed(changes):
        loaded = load_model(*tiny_model, device="cpu")
        pipeline = loaded.cfg.test_dataloader.dataset.pipeline
        change()
        with pytest.warns(UserWarning, match=f"CUDA graphs are not used: {reason}"):
            assert reason in find(loaded)
