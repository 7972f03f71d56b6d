"""A checkpoint on a GPU by CUDA graphs: the people that it finds without, the waits of a batch, and its recordings."""

import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from rtmo_plugin.engine.loaded_model import load_model
from rtmo_plugin.engine.recordings import CUDARecorder
from rtmo_plugin.pose.checkpoint_model import CheckpointModel
from rtmo_plugin.pose.graph_building import build_people_graph
from rtmo_plugin.pose.pose import Pose
from rtmo_plugin.pose.replayed_model import ReplayedModel
from rtmo_plugin.runtime.letterbox import apply_letterbox
from tests.export.test_people_graph import place
from tests.pose.checkpoints.test_replayed_model import IMAGES, SHOWN, check
from tests.tiny_files import make_image

pytestmark = pytest.mark.gpu
ACTIVITIES = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]


@pytest.fixture(scope="module", autouse=True)
def _full_precision():
    """Convolve in full float32, in the fixtures of this module as well."""
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        yield


@pytest.fixture(autouse=True)
def _no_warning():
    """Refuse the warning that graphs are not used."""
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "CUDA graphs are not used|Images are computed without CUDA graphs")
        yield


@pytest.fixture(scope="module")
def loaded(tiny_model):
    return load_model(*tiny_model, device="cuda", cfg_options=SHOWN)


@pytest.fixture(scope="module")
def expected(tiny_model):
    options = {"device": "cuda", "score_thr": 0.0, "cfg_options": SHOWN, "graphs": False}
    return CheckpointModel(*tiny_model, **options).predict_batch(IMAGES)


@pytest.fixture
def model(loaded):
    return ReplayedModel(build_people_graph(loaded, torch.float32), [CUDARecorder() for _ in range(2)])


def test_people_are_those_without_graphs_in_batches_of_all_sizes(model, expected):
    for size in (1, 2, 5, 3, 1):
        found = [each for first in range(0, 5, size) for each in model.predict(IMAGES[first : first + size])]
        check(found, expected)
    assert model.failure is None


def test_the_letterbox_is_opencvs_on_the_gpu(loaded):
    graph = build_people_graph(loaded, torch.float16)
    images = [*IMAGES, make_image(1920, 1080)]
    found = graph.make_input(*(each.cuda() for each in place(images))).cpu().numpy()
    for one, image in zip(found, images):
        np.testing.assert_array_equal(one, apply_letterbox(image, graph.size_wh)[0])


def test_larger_images_and_threads(model, expected):
    large = make_image(2000, 1500)
    order = list(range(5)) * 8
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda number: model.predict([IMAGES[number]])[0], order))
    check(found, [expected[number] for number in order])
    (first,), (again,) = model.predict([large]), model.predict([large])
    check([again], [first])
    check(model.predict(IMAGES[:1]), expected[:1])


def test_a_batch_is_one_wait(model):
    model.predict(IMAGES)
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model.predict(IMAGES)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert [each for each in caught if "synchronizing" not in str(each.message)] == []
    assert len(caught) == 1  # that of the stream, for the result


def test_a_batch_is_two_copies_and_one_launch(model):
    model.predict(IMAGES)
    torch.cuda.synchronize()
    with torch.profiler.profile(activities=ACTIVITIES) as profile:
        model.predict(IMAGES)
    counts = {each.key: each.count for each in profile.key_averages()}
    assert counts["cudaGraphLaunch"] == 1
    assert counts["cudaMemcpyAsync"] == 2
    assert counts["cudaStreamSynchronize"] == 1  # at its end, the profiler adds a cudaDeviceSynchronize
    assert counts.get("cudaLaunchKernel", 0) == 0


@pytest.mark.parametrize(("precision", "limit"), [("auto", 0.01), ("bfloat16", 0.1)])
def test_half_precision_finds_the_same_people(tiny_model, expected, precision, limit):
    options = {"device": "cuda", "score_thr": 0.0, "cfg_options": SHOWN, "precision": precision}
    (found,) = CheckpointModel(*tiny_model, **options).predict_batch(IMAGES[:1])
    assert abs(found.scores[0] - expected[0].scores[0]) < limit


def test_the_first_image_after_opening_records_nothing(tiny_model):
    opened = CheckpointModel(*tiny_model, device="cuda", cfg_options=SHOWN)
    with torch.profiler.profile(activities=ACTIVITIES) as profile:
        opened.predict_batch(IMAGES[:1])
    counts = {each.key: each.count for each in profile.key_averages()}
    assert counts["cudaGraphLaunch"] == 1
    assert not [name for name in counts if name.startswith(("cudaStreamBeginCapture", "cudaGraphInstantiate"))]


def test_streams_of_images_are_those_of_single_ones(tiny_model, expected):
    config, checkpoint = tiny_model
    pose = Pose(checkpoint, config=config, device="cuda", score_thr=0.0, cfg_options=SHOWN, precision="float32")
    assert pose._streams == 2
    found = [each.people for each in pose.stream(IMAGES * 6, batch_size=4)]
    check(found, expected * 6)
    assert len(pose(IMAGES[0])) == len(expected[0])
