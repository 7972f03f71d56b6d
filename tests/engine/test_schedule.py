import pytest
from mmengine.config import Config

from rtmo_plugin.engine.schedule import find_dataset, find_stage, read_schedule
from rtmo_plugin.errors import ConfigError

FLIP, MOSAIC = [{"type": "RandomFlip"}], [{"type": "Mosaic"}]
OFFICIAL = {"warmup": {"begin": 0}, "refine": {"begin": 280}, "finish": {"begin": 580, "pipeline": FLIP}}


@pytest.mark.parametrize(
    ("epoch", "name"),
    [(0, "warmup"), (279, "warmup"), (280, "refine"), (579, "refine"), (580, "finish"), (600, "finish")],
)
def test_stage_follows_from_the_epoch(epoch, name):
    assert find_stage(read_schedule(OFFICIAL), epoch).name == name


def test_list_and_dict_say_the_same():
    entries = [{"stage": name, **entry} for name, entry in OFFICIAL.items()]
    assert read_schedule(entries) == read_schedule(OFFICIAL)


def test_schedule_is_not_changed():
    entries = [{"stage": "warmup", "begin": 0}]
    read_schedule(entries)
    assert entries == [{"stage": "warmup", "begin": 0}]


def test_data_hold_for_later_stages():
    coco = {"type": "CocoDataset"}
    schedule = {
        "warmup": {"begin": 0},
        "refine": {"begin": 1, "pipeline": FLIP},
        "finish": {"begin": 2, "dataset": coco},
        "extra": {"begin": 3, "pipeline": MOSAIC},
    }
    assert [stage.data for stage in read_schedule(schedule)] == [
        {},
        {"pipeline": FLIP},
        {"pipeline": FLIP, "dataset": coco},
        {"pipeline": MOSAIC, "dataset": coco},
    ]


def test_dataset_of_a_stage():
    own, coco = {"type": "CombinedDataset", "pipeline": MOSAIC}, {"type": "CocoDataset", "pipeline": []}
    assert find_dataset(own, {}) == own
    assert find_dataset(own, {"pipeline": FLIP}) == {"type": "CombinedDataset", "pipeline": FLIP}
    assert find_dataset(own, {"dataset": coco}) == coco
    assert find_dataset(own, {"dataset": coco, "pipeline": FLIP}) == {"type": "CocoDataset", "pipeline": FLIP}
    assert own["pipeline"] is MOSAIC


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        ({}, "it is empty"),
        ({"warmup": {"begin": 1}}, "must begin at epoch 0, but 'warmup' begins at 1"),
        ({"warmup": {"begin": 0}, "refine": {"begin": 0}}, "'refine' begins at 0 after 'warmup' at 0"),
        ([{"stage": name, "begin": begin} for name, begin in (("a", 0), ("b", 9), ("c", 8))], "begins must increase"),
        ({"warmup": {}}, "stage 'warmup' needs 'begin', int; got None"),
        ({"warmup": {"begin": 0.0}}, "needs 'begin', int; got 0.0"),
        ([{"begin": 0}], "an entry without a stage needs 'stage'"),
        ({"warmup": {"begin": 0, "epoch": 3}}, "unknown key 'epoch' in stage 'warmup'"),
        ({"warmup": {"begin": 0, "dataset": {"type": "CocoDataset"}}}, "the dataset of stage 'warmup' has no pipeline"),
    ],
)
def test_bad_schedule_is_refused(schedule, message):
    with pytest.raises(ConfigError, match=message):
        read_schedule(schedule)


def test_config_that_mmengine_dumped_is_the_same_schedule():
    # Config.dump sorts keys, so the file beside a checkpoint names `finish` before `warmup`.
    schedule = Config({"schedule": {"warmup": {"begin": 0}, "refine": {"begin": 2}, "finish": {"begin": 4}}})
    dumped = Config.fromstring(schedule.dump(), ".py")
    assert list(dumped.schedule) != list(schedule.schedule)
    assert read_schedule(dumped.schedule) == read_schedule(schedule.schedule)
