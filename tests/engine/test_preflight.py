"""Before the first step: what training works on, how long it will take, and refusals of what cannot work."""

import json
import time
from types import SimpleNamespace

import pytest

from rtmo_plugin.engine.hooks.expected_time import ExpectedTimeHook
from rtmo_plugin.engine.people_count import PeopleCount
from rtmo_plugin.engine.training_runner import describe_keypoints
from rtmo_plugin.errors import DataError
from rtmo_plugin.structures import KeypointSchema
from tests.faults.test_07_people_to_train_on import run


@pytest.fixture
def coco_root(data_root, tmp_path):
    """Return a copy of the labels of the tiny COCO folder, whose images are those of the original."""
    root = tmp_path / "coco"
    (root / "annotations").mkdir(parents=True)
    for split in ("train2017", "val2017"):
        (root / split).symlink_to(data_root / "coco" / split)
        name = f"annotations/person_keypoints_{split}.json"
        (root / name).write_text((data_root / "coco" / name).read_text())
    return tmp_path


def change_areas(root, split, change):
    path = root / f"coco/annotations/person_keypoints_{split}.json"
    content = json.loads(path.read_text())
    for index, person in enumerate(content["annotations"]):
        person["area"] = change(index, person["area"])
    path.write_text(json.dumps(content))


@pytest.mark.parametrize("split", ["train2017", "val2017"])
def test_areas_that_cannot_be_true_are_refused(coco_root, split):
    change_areas(coco_root, split, lambda _, area: 0)
    message = (
        rf"of \d+ areas in .*{split}\.json do not fit their box \(area is 0 in a box of [\d.]+ x [\d.]+\), and OKS "
        r"divides by them: `rtmo dataset check FILE --fix COPY` writes a copy with 0\.53 of the box\."
    )
    with pytest.raises(DataError, match=message):
        run(coco_root, recipe="rtmo-t_coco")


def test_a_few_such_areas_are_a_warning(coco_root, capsys):
    change_areas(coco_root, "train2017", lambda index, area: area * 1e4 if index == 0 else area)
    run(coco_root, recipe="rtmo-t_coco")
    out = capsys.readouterr().out
    assert "warning: 1 of 8 areas in " in out
    assert "validating on " in out


def test_people_are_counted_for_validation(capsys):
    PeopleCount(files=("val.json",), num_people=3, num_images=2).report_validation()
    assert capsys.readouterr().out == "validating on 3 people in 2 images\n"


def test_many_keypoints_are_a_short_line():
    schema = KeypointSchema(tuple(f"point{k}" for k in range(133)), (0.1,) * 133)
    keypoints, pairs = describe_keypoints(schema, []).splitlines()
    assert keypoints.startswith("keypoints:      133 with sigmas: point0 0.1, point1 0.1, ")
    assert keypoints.endswith(" and 103 more")
    assert pairs == "flip pairs:     none"


@pytest.mark.parametrize(
    ("max_iters", "line"),
    [(72_000, "Expected time: 20.0 hours for 71,994 steps more of 1 s each, without validations."), (30, None)],
)
def test_expected_time_is_that_of_steps_after_the_first(monkeypatch, max_iters, line):
    """Two slow steps that do not count, a pause between epochs, and then a second a step."""
    seconds = iter([0, 50, 51, 52, 500, 501])
    monkeypatch.setattr(time, "monotonic", lambda: next(seconds))
    lines, hook = [], ExpectedTimeHook(num_left_out=2, num_steps=3)
    runner = SimpleNamespace(iter=0, max_iters=max_iters, logger=SimpleNamespace(info=lines.append))
    for _ in range(7):
        if runner.iter in (0, 4):
            hook.before_train_epoch(runner)
        hook.after_train_iter(runner)
        runner.iter += 1
    hook.after_train_iter(runner)  # no clock is read any more
    assert lines == ([line] if line else [])
