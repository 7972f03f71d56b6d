"""Random sizes in training: MMPose's batches at the same size, and sizes that need no memory."""

import copy

import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.structures import InstanceData, PixelData
from mmpose.models.data_preprocessors import BatchSyncRandomResize
from mmpose.structures import PoseDataSample

from rtmo_plugin.models.batch_resize import BatchRandomResize

RANGE = (64, 160)


def set_step(step, seed=0):
    MessageHub.get_current_instance().update_info_dict({"iter": step, "seed": seed})


def make_batch(has_labels=True):
    sample = PoseDataSample(metainfo={"img_shape": (96, 128), "pad_shape": (96, 128)})
    if has_labels:
        people = {"bboxes": torch.rand(3, 4), "keypoints": torch.rand(3, 17, 2), "areas": torch.rand(3)}
        sample.gt_instance_labels = InstanceData(**people)
        sample.gt_fields = PixelData(heatmap_mask=torch.rand(1, 96, 128).round())
    return torch.rand(1, 3, 96, 128), [sample]


@pytest.mark.parametrize("has_labels", [True, False])
def test_batch_of_a_size_is_mmposes(has_labels):
    inputs, samples = make_batch(has_labels)
    untouched = copy.deepcopy(samples)
    theirs, ours = BatchSyncRandomResize(RANGE), BatchRandomResize(RANGE, interval=1)
    set_step(7)
    theirs._input_size = ours.choose_shape((96, 128), 7)
    assert theirs._input_size != (96, 128)
    found, found_samples = ours(inputs, [copy.copy(samples[0])] if not has_labels else copy.deepcopy(samples))
    expected, expected_samples = theirs(inputs, copy.deepcopy(untouched))
    assert torch.equal(found, expected)
    (mine,), (wanted,) = found_samples, expected_samples
    assert mine.metainfo == wanted.metainfo
    if has_labels:
        for name in ("bboxes", "keypoints", "areas"):
            torch.testing.assert_close(mine.gt_instance_labels.get(name), wanted.gt_instance_labels.get(name))
        assert torch.equal(mine.gt_fields.heatmap_mask, wanted.gt_fields.heatmap_mask)


def test_values_of_the_dataset_are_not_changed():
    inputs, samples = make_batch()
    labels = samples[0].gt_instance_labels
    kept = {name: labels.get(name) for name in ("bboxes", "keypoints", "areas")}
    before = copy.deepcopy(kept)
    set_step(7)
    BatchRandomResize(RANGE, interval=1)(inputs, samples)
    assert all(torch.equal(kept[name], before[name]) for name in kept)
    assert not torch.equal(labels.bboxes, before["bboxes"])


def test_size_follows_from_seed_and_step():
    def list_sizes(seed, steps):
        set_step(0, seed)
        resize = BatchRandomResize(RANGE, interval=1)
        return [resize.choose_shape((100, 100), step)[0] for step in steps]

    sizes = list_sizes(3, range(400))
    assert list_sizes(3, range(390, 400)) == sizes[390:]
    assert list_sizes(4, range(400)) != sizes
    assert sizes[0] == 100  # as MMPose: the first batch has the size of the data
    counts = [sizes[1:].count(size) for size in (64, 96, 128, 160)]
    assert sum(counts) == 399
    assert all(70 < count < 130 for count in counts)  # each as often


def test_size_stays_for_an_interval():
    set_step(0)
    resize = BatchRandomResize((32, 3200), interval=5)
    sizes = [resize.choose_shape((64, 64), step) for step in range(20)]
    assert [len(set(sizes[i : i + 5])) for i in (0, 5, 10, 15)] == [1] * 4
    assert len(set(sizes)) == 4
