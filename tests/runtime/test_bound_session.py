"""A session with a buffer for its input: the same outputs, whatever their number, and one buffer for each size."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnxruntime
import pytest

from rtmo_plugin.runtime.engines.bound_session import BoundSession

SIZES = [(1, 96, 96), (1, 96, 96), (2, 96, 96), (1, 96, 96)]


@pytest.fixture
def session(files):
    return onnxruntime.InferenceSession(str(files["end2end"]), providers=["CPUExecutionProvider"])


def draw_batches(session, sizes=SIZES):
    """Return batches in which the model finds different numbers of people."""
    generator = np.random.default_rng(0)
    fixed = [side for side in session.get_inputs()[0].shape[2:] if isinstance(side, int)]
    return [
        (generator.random((number, 3, *(fixed or side))) * 255 / (index + 1)).astype(np.float32)
        for index, (number, *side) in enumerate(sizes)
    ]


def run(session, images):
    return session.run(None, {session.get_inputs()[0].name: images})


def test_outputs_are_those_of_the_session(session):
    bound, shapes = BoundSession(session, "cpu"), set()
    for images in draw_batches(session):
        before = images.copy()
        outputs, expected = bound.run(images), run(session, images)
        for output, other in zip(outputs, expected, strict=True):
            np.testing.assert_array_equal(output, other)
        np.testing.assert_array_equal(images, before)
        shapes.add(outputs[0].shape)
    assert len(shapes) > 1


def test_earlier_outputs_stay(session):
    bound = BoundSession(session, "cpu")
    first, second = draw_batches(session, SIZES[:2])
    outputs = bound.run(first)
    bound.run(second)
    for output, expected in zip(outputs, run(session, first), strict=True):
        np.testing.assert_array_equal(output, expected)


def test_a_buffer_is_made_for_each_new_size(session, monkeypatch):
    made, make = [], onnxruntime.OrtValue.ortvalue_from_shape_and_type

    def count(shape, *others):
        made.append(shape[0])
        return make(shape, *others)

    monkeypatch.setattr(onnxruntime.OrtValue, "ortvalue_from_shape_and_type", count)
    bound = BoundSession(session, "cpu")
    for images in draw_batches(session, [(1, 96, 96)] * 3 + [(2, 96, 96)] * 2):
        bound.run(images)
    assert made == [1, 2]


def test_threads_do_not_share_a_buffer(session):
    bound, batches = BoundSession(session, "cpu"), draw_batches(session, [(1, 96, 96)] * 8)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(bound.run, batches))
    for outputs, images in zip(found, batches, strict=True):
        for output, expected in zip(outputs, run(session, images), strict=True):
            np.testing.assert_array_equal(output, expected)
