"""Written data sets stay below their folder and overwrite nothing: synthetic people, and the two parts of a split."""

import json

import pytest

from rtmo_plugin.data import SyntheticPeople, write_coco_folder
from rtmo_plugin.errors import DataError
from tests.labels.conftest import make_set
from tests.tools.test_tools import run_in_process


@pytest.fixture(scope="module")
def people():
    return SyntheticPeople(num_images=2, seed=0, size_wh=(64, 48), num_people=(1, 1), test_mode=True)


@pytest.mark.parametrize("split", ["../train", "/tmp/train", "..", "", "a\n", "a\\..\\..\\b"])
def test_a_split_of_synthetic_people_does_not_lead_out(tmp_path, people, split):
    with pytest.raises(DataError):
        next(write_coco_folder(people, tmp_path / "data", split))
    assert list(tmp_path.iterdir()) == []


def test_images_that_are_there_are_not_overwritten(tmp_path, people):
    name = people.to_coco()["images"][0]["file_name"]
    (tmp_path / "val2017").mkdir()
    (tmp_path / "val2017" / name).write_bytes(b"precious")
    with pytest.raises(DataError, match="val2017 exists already: remove it, or choose another folder or split"):
        next(write_coco_folder(people, tmp_path, "val2017"))
    assert (tmp_path / "val2017" / name).read_bytes() == b"precious"


@pytest.mark.parametrize("name", ["train.json", "val.json"])
@pytest.mark.parametrize("kind", ["file", "link that leads nowhere"])
def test_the_parts_of_a_split_overwrite_nothing(tmp_path, capsys, name, kind):
    source, out = tmp_path / "people.json", tmp_path / "out"
    source.write_text(json.dumps(make_set()))
    out.mkdir()
    if kind == "file":
        (out / name).write_text("precious")
    else:
        (out / name).symlink_to(tmp_path / "elsewhere.json")
    code, _, err = run_in_process(capsys, "dataset", "split", source, out)
    assert (code, err.startswith(f"error: {out / name} exists already")) == (2, True)
    assert not (tmp_path / "elsewhere.json").exists()
    assert sorted(path.name for path in out.iterdir()) == [name]


def test_a_source_that_is_one_of_the_parts_is_refused(tmp_path, capsys):
    source = tmp_path / "train.json"
    source.write_text(json.dumps(make_set()))
    before = source.read_bytes()
    code, _, err = run_in_process(capsys, "dataset", "split", source, tmp_path)
    assert (code, err.count("\n"), source.read_bytes()) == (2, 1, before)


def test_a_folder_that_cannot_be_written_is_reported_first(tmp_path, capsys):
    (tmp_path / "file").touch()
    code, _, err = run_in_process(capsys, "dataset", "split", tmp_path / "none.json", tmp_path / "file" / "out")
    assert (code, "none.json" in err, err.count("\n")) == (2, False, 1)
