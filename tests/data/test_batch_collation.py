"""Packed batches: the same numbers as a list of data samples, in few tensors, whatever the number of images."""

import copy
import pickle
import threading
from dataclasses import fields

import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.structures import PixelData
from mmpose.registry import MODELS
from torch.utils.data import DataLoader

from rtmo_plugin.data.batch_collation import pack_batch
from rtmo_plugin.engine.hooks.broken_samples import read_notes
from rtmo_plugin.models.heads.loss_check import LateLossCheck
from rtmo_plugin.models.heads.training_targets import collect_people
from rtmo_plugin.packed_batch import Metainfos, PackedBatch
from rtmo_plugin.structures import People
from tests.operators import count_operators, select_waits_and_copies
from tests.oracle import make_samples
from tests.small_head import SIZE_WH, build_ours, make_features

COUNTS = [3, 0, 1, 2]
RESIZE = {"type": "rtmo_plugin.BatchRandomResize", "random_size_range": (96, 160), "interval": 1}
PEOPLE = ("bboxes", "labels", "keypoints", "keypoints_visible", "keypoints_visible_weights", "areas")


def make_records(counts=COUNTS, num_keypoints=17, with_mask=True):
    """Return what a training pipeline gives for each image."""
    width, height = SIZE_WH
    samples = make_samples(counts, num_keypoints, SIZE_WH)
    generator = torch.Generator().manual_seed(0)
    if with_mask:
        for sample in samples[:2]:  # with people, and without
            sample.gt_fields = PixelData(heatmap_mask=torch.rand(1, height, width, generator=generator).round())
    images = [torch.randint(0, 256, (3, height, width), dtype=torch.uint8, generator=generator) for _ in counts]
    return [{"inputs": image, "data_samples": sample} for image, sample in zip(images, samples)]


def make_preprocessor(**options):
    """Return the preprocessor of the model in the third step of a training."""
    hub = MessageHub.get_current_instance()
    hub.update_info("iter", 3)
    hub.update_info("seed", 0)
    values = {"mean": [0, 0, 0], "std": [1, 1, 1], "pad_size_divisor": 32, "batch_augments": [RESIZE], **options}
    return MODELS.build({"type": "rtmo_plugin.PackedDataPreprocessor", **values})


def prepare(batch, **options):
    """Return a batch as the model gets it."""
    return make_preprocessor(**options)(copy.deepcopy(batch), training=True)


def as_lists(records):
    return {name: [record[name] for record in records] for name in ("inputs", "data_samples")}


def test_samples_come_back_as_they_were():
    records = make_records()
    batch = pack_batch(records)["data_samples"]
    assert len(batch) == len(list(batch)) == len(COUNTS)
    for record, sample in zip(records, batch):
        expected = record["data_samples"]
        assert sample.metainfo.keys() == expected.metainfo.keys()
        assert (sample.img_path, sample.img_shape) == (expected.img_path, expected.img_shape)
        for name in PEOPLE:
            assert torch.equal(sample.gt_instance_labels[name], expected.gt_instance_labels[name].to(torch.float32)), (
                name
            )
    assert torch.equal(batch[0].gt_fields.heatmap_mask, records[0]["data_samples"].gt_fields.heatmap_mask)
    assert (batch[-1].gt_fields.heatmap_mask == 0).all()
    with pytest.raises(IndexError):
        batch[4]


@pytest.mark.parametrize(
    "options",
    [{}, {"batch_augments": None}, {"mean": [1, 2, 3], "std": [4, 5, 6], "bgr_to_rgb": True, "pad_size_divisor": 80}],
)
def test_the_model_gets_the_same_numbers(options):
    records = make_records()
    one_by_one, packed = prepare(as_lists(records), **options), prepare(pack_batch(records), **options)
    assert torch.equal(packed["inputs"], one_by_one["inputs"])
    assert isinstance(packed["data_samples"], PackedBatch)
    people, expected = (collect_people(each["data_samples"], 1, 17) for each in (packed, one_by_one))
    for name, value in vars(expected).items():
        assert torch.equal(getattr(people, name), value), name
    for sample, other in zip(packed["data_samples"], one_by_one["data_samples"]):
        for name in ("img_shape", "img_path"):
            assert sample.metainfo[name] == other.metainfo[name]


def test_a_copy_of_the_preprocessor_has_its_options_and_not_its_stream():
    preprocessor = make_preprocessor(mean=[1, 2, 3], std=[4, 5, 6])
    preprocessor.copies_aside = True
    preprocessor._stream = threading.Lock()  # as little as a stream of CUDA can it be copied or pickled
    for copied in (copy.deepcopy(preprocessor), pickle.loads(pickle.dumps(preprocessor))):
        assert (copied.copies_aside, copied._stream) == (True, None)
        batch = pack_batch(make_records())
        assert torch.equal(copied(batch)["inputs"], preprocessor(batch)["inputs"])


@pytest.mark.parametrize("stage", ["warmup", "refine", "finish"])
def test_the_losses_are_the_same(stage):
    head, feats = build_ours(), make_features(len(COUNTS))
    head.enter_stage(stage)
    records = make_records()
    expected = head.loss(feats, as_lists(records)["data_samples"])
    got = head.loss(feats, pack_batch(records)["data_samples"])
    assert got == expected


def test_nobody_in_the_batch():
    batch = prepare(pack_batch(make_records([0, 0])))
    head = build_ours()
    losses = head.loss(make_features(2), batch["data_samples"])
    assert losses["loss_bbox"].item() == 0
    assert batch["data_samples"].masks is None


def test_work_does_not_grow_with_the_images():
    prepare = make_preprocessor()
    prepare(pack_batch(make_records()), True)  # which reads the seed
    small, large = (count_operators(prepare, pack_batch(make_records([2] * n)), True) for n in (2, 16))
    assert small == large
    assert small.total() <= 25
    assert select_waits_and_copies(small).keys() <= {"_to_copy"}  # to float; on a GPU also to the device


def test_a_packed_batch_is_not_read_image_by_image_in_the_loss():
    batch = pack_batch(make_records([2] * 16))["data_samples"]
    counts = count_operators(collect_people, batch, 1, 17)
    assert counts.total() <= 6
    assert select_waits_and_copies(counts).total() == 0


def test_workers_pack_their_batches():
    loader = DataLoader(make_records(), batch_size=2, num_workers=1, collate_fn=pack_batch)
    batches = list(loader)
    assert [batch["inputs"].shape for batch in batches] == [(2, 3, SIZE_WH[1], SIZE_WH[0])] * 2
    assert {batch["inputs"].untyped_storage().data_ptr() for batch in batches} == {
        batch["data_samples"].people.boxes.untyped_storage().data_ptr() for batch in batches
    }  # each batch is one piece of memory
    assert [batch["data_samples"].counts for batch in batches] == [(3, 0), (1, 2)]


class Record:
    """Part of a metainfo that counts how often it is unpickled here."""

    num_unpickled = 0

    def __init__(self):
        self.value = 1  # without a state there is nothing to set

    def __setstate__(self, state):
        vars(self).update(state)
        Record.num_unpickled += 1


def test_a_step_does_not_unpickle_what_it_does_not_read():
    records = make_records()
    for each in records:
        each["data_samples"].set_metainfo({"record": Record()})
    Record.num_unpickled = 0
    (batch,) = DataLoader(records, batch_size=len(records), num_workers=1, collate_fn=pack_batch)
    assert list(read_notes(batch["data_samples"])) == []
    prepared = prepare(batch)["data_samples"]
    head, check = build_ours(), LateLossCheck()
    check(head.loss(make_features(len(COUNTS)), prepared), prepared)
    check.finish()
    assert Record.num_unpickled == 0
    assert prepared.names == [each["data_samples"].img_path for each in records]
    assert Record.num_unpickled == len(records)
    assert isinstance(prepared[0].record, Record)


def test_images_of_several_sizes_are_refused_by_name():
    records = make_records()
    records[2]["inputs"] = records[2]["inputs"][:, :32]
    with pytest.raises(ValueError, match=r"a packed batch needs images of one size"):
        pack_batch(records)


def test_people_with_other_keypoints_are_refused_by_name():
    records = make_records()[:2] + make_records([1], num_keypoints=14, with_mask=False)
    with pytest.raises(ValueError, match=r"keypoints of a person have shape \(14, 2\), and those of image0\.jpg"):
        pack_batch(records)


def test_classes_out_of_range_are_refused_by_name():
    records = make_records()
    records[2]["data_samples"].gt_instance_labels.labels[0] = 3
    with pytest.raises(ValueError, match=r"^image2\.jpg: class labels \[3\] are not within 0\.\.2: "):
        collect_people(pack_batch(records)["data_samples"], 3, 17)


@pytest.mark.parametrize(("num_people", "has_masks"), [((3, 0, 2), True), ((1, 2), False), ((0, 0), False)])
def test_batch_crosses_processes_as_one_tensor(num_people, has_masks):
    generator = torch.Generator().manual_seed(0)
    most, num_images = max(num_people), len(num_people)

    def draw(*shape):
        return torch.rand(num_images, most, *shape, generator=generator)

    is_person = torch.arange(most) < torch.tensor(num_people)[:, None]
    people = People(
        is_person=is_person,
        labels=torch.ones(num_images, most, dtype=torch.long),
        boxes=draw(4),
        keypoints=draw(3, 2).double(),
        visible=draw(3),
        visible_weights=draw(3),
        areas=draw(),
    )
    masks = torch.ones(num_images, 1, 5, 7, dtype=torch.uint8) if has_masks else None
    infos = tuple({"img_path": f"{number}.jpg"} for number in range(num_images))
    batch = PackedBatch(people, masks, Metainfos(infos), num_people, (1, 1), dict, shape_hw=(5, 7))
    restored = pickle.loads(pickle.dumps(batch))
    assert (tuple(restored.metainfos), restored.counts, restored.labels_range) == (infos, num_people, (1, 1))
    assert (restored.kind, restored.shape_hw, restored.scale_xy) == (dict, (5, 7), (1.0, 1.0))
    storages = set()
    for field in fields(People):
        before, after = getattr(people, field.name), getattr(restored.people, field.name)
        assert (before.dtype, before.shape) == (after.dtype, after.shape)
        assert torch.equal(before, after)
        storages.add(after.untyped_storage().data_ptr())
    assert (restored.masks is None) == (masks is None)
    if has_masks:
        assert torch.equal(restored.masks, masks)
        storages.add(restored.masks.untyped_storage().data_ptr())
    assert len(storages) == 1
    assert copy.deepcopy(batch).counts == num_people
