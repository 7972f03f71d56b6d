"""Broken samples in training: replaced, named once each, counted, and too many of them stop the run."""

import logging
import math
from types import SimpleNamespace

import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.structures import InstanceData
from mmpose.structures import PoseDataSample
from torch._utils import ExceptionWrapper  # as torch's loader hands over errors of its workers
from torch.utils.data import DataLoader, Dataset

from rtmo_plugin.engine.hooks.broken_samples import BrokenSampleHook, BrokenSamplesError

ERRORS = {
    1: FileNotFoundError("no file /data/1.jpg"),
    3: ValueError("cannot reshape array of size 50 into shape (17,3)"),
    5: KeyError("bbox"),
    7: AssertionError(),
}
NOTES = [
    "/images/3.jpg: cannot reshape array of size 50 into shape (17,3) (ValueError)",
    "/images/5.jpg: 'bbox' (KeyError)",
    "/images/7.jpg: no reason given (AssertionError)",
    "/images/9.jpg: its keypoints are not finite (ValueError)",
    "no file /data/1.jpg (FileNotFoundError)",
]


class People(Dataset):
    def __init__(self, errors, length=10):
        self.errors, self.length = errors, length

    def __len__(self):
        return self.length

    def get_data_info(self, index):
        return {"img_path": f"/images/{index}.jpg"}

    def __getitem__(self, index):
        if index in self.errors:
            raise self.errors[index]
        keypoints = torch.full((1, 17, 2), math.nan if index == 9 else 1.0)
        sample = PoseDataSample(metainfo={"img_path": f"/images/{index}.jpg"})
        sample.gt_instance_labels = InstanceData(keypoints=keypoints)
        return {"inputs": torch.zeros(3, 4, 4), "data_samples": sample}


def run_epochs(dataset, *, num_workers=0, num_epochs=1, **options):
    """Return the indices that were trained on and what was logged."""
    loader = DataLoader(dataset, batch_size=2, num_workers=num_workers, collate_fn=pseudo_collate)
    lines = []
    logger = SimpleNamespace(log=lambda level, line: lines.append((level, line)), warning=lines.append)
    runner = SimpleNamespace(epoch=0, logger=logger, train_loop=SimpleNamespace(dataloader=loader))
    hook, trained = BrokenSampleHook(**options), []
    for _ in range(num_epochs):
        hook.before_train_epoch(runner)
        for number, batch in enumerate(loader):
            hook.before_train_iter(runner, number, batch)
            trained += [int(sample.img_path[8]) for sample in batch["data_samples"]]
    hook.after_train(runner)
    return trained, lines


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.parametrize("num_workers", [0, 2])
def test_broken_samples_are_replaced_and_each_is_named_once(num_workers):
    trained, lines = run_epochs(People(ERRORS), num_workers=num_workers, num_epochs=2)
    assert len(trained) == 2 * 10
    assert set(trained) <= {0, 2, 4, 6, 8}
    *each, total = lines
    assert sorted(line.split(": ", 1)[1] for _, line in each) == NOTES
    assert [line.split(":")[0] for _, line in each] == [f"Skipped broken training sample {n}" for n in range(1, 6)]
    assert {level for level, _ in each} == {logging.WARNING}
    assert total == "Broken training samples skipped: 5; each is named above."


def test_whole_samples_need_no_words():
    assert run_epochs(People({}, length=8)) == (list(range(8)), [])


def test_limit_stops_the_run():
    with pytest.raises(BrokenSamplesError) as error:
        run_epochs(People(ERRORS), max_broken=2)
    assert str(error.value).startswith("Broken training samples: 3, and the limit is 2 (max_broken of BrokenSample")
    assert "check the data with `rtmo dataset check`; the last one: " in str(error.value)


def test_nothing_but_broken_samples_is_one_sentence_from_workers_too():
    dataset = People(dict.fromkeys(range(10), OSError("/data is not mounted")))
    with pytest.raises(BrokenSamplesError) as error:
        run_epochs(dataset)
    assert str(error.value) == "10 training samples in a row are broken, the last one: /data is not mounted (OSError)."
    handed_over = ExceptionWrapper((type(error.value), error.value, error.tb), where="in DataLoader worker process 0")
    assert "Traceback" in handed_over.exc_msg
    with pytest.raises(BrokenSamplesError) as reraised:
        handed_over.reraise()
    assert str(reraised.value) == str(error.value)


def test_defect_of_the_program_is_not_taken_for_a_broken_sample():
    with pytest.raises(NotImplementedError):
        run_epochs(People({0: NotImplementedError("yet")}))
