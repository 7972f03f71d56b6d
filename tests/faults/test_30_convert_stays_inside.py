"""A conversion writes below its target alone, overwrites nothing, and leaves nothing when it fails."""

import errno
import json
import os

import pytest

from rtmo_plugin.files import create_folder, write_file
from tests.labels.conftest import make_set
from tests.tools.test_tools import run_in_process

LONG = f"{'a' * 260}.jpg"
LEADING_OUT = ["/{outside}/v.jpg", "../v.jpg", "a/../../v.jpg", ".."]
LEADING_OUT += ["C:\\v.jpg", "\\\\host\\v.jpg", "a\\..\\..\\v.jpg"]
UNUSABLE = ["v\n.jpg", "v\0.jpg", "\x1b[2J.jpg", LONG, f"{'b' * 300}/v.jpg", "\ud800.jpg"]


def snapshot(folder):
    return {path: path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}


@pytest.mark.parametrize("name", ["yolo", "labelme"])
@pytest.mark.parametrize("file_name", [*LEADING_OUT, *UNUSABLE])
def test_names_of_images_do_not_lead_out(tmp_path, capsys, name, file_name):
    outside = tmp_path / "outside"
    outside.mkdir()
    for victim in ("v.txt", "v.json"):
        (outside / victim).write_text("precious")
        (tmp_path / victim).write_text("precious")
    coco = make_set()
    coco["images"][1]["file_name"] = file_name.format(outside=str(outside).lstrip("/"))
    source = tmp_path / "people.json"
    source.write_text(json.dumps(coco))
    before = snapshot(tmp_path)
    code, out, err = run_in_process(capsys, "dataset", "convert", source, tmp_path / "new" / "target", "--to", name)
    assert (code, out, err.count("\n")) == (2, "", 1), err
    assert err.startswith("error: ")
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("split", ["../../v", "/tmp/v", "..", ""])
def test_the_split_does_not_lead_out(tmp_path, capsys, split):
    source = tmp_path / "people.json"
    source.write_text(json.dumps(make_set()))
    code, out, err = run_in_process(
        capsys, "dataset", "convert", source, tmp_path / "target", "--to", "yolo", "--split", split
    )
    assert (code, out, err.count("\n"), "error: " in err) == (2, "", 1, True)
    assert list(tmp_path.iterdir()) == [source]


@pytest.mark.parametrize("name", ["yolo", "labelme", "cvat"])
def test_what_exists_is_not_overwritten(tmp_path, capsys, name):
    source = tmp_path / "people.json"
    source.write_text(json.dumps(make_set()))
    dangling, full, file = tmp_path / "dangling", tmp_path / "full", tmp_path / "file"
    dangling.symlink_to(tmp_path / "elsewhere")
    full.mkdir()
    (full / "x").touch()
    file.touch()
    before = snapshot(tmp_path)
    for target in (dangling, full, file, source):
        code, _, err = run_in_process(capsys, "dataset", "convert", source, target, "--to", name)
        assert (code, err.startswith(f"error: {target} exists already")) == (2, True)
    assert snapshot(tmp_path) == before


def test_an_empty_folder_may_be_there(tmp_path, capsys):
    source = tmp_path / "people.json"
    source.write_text(json.dumps(make_set()))
    (tmp_path / "yolo").mkdir()
    assert run_in_process(capsys, "dataset", "convert", source, tmp_path / "yolo", "--to", "yolo")[0] == 0
    assert sorted(path.name for path in (tmp_path / "yolo").iterdir()) == ["data.yaml", "labels"]
    code, _, err = run_in_process(capsys, "dataset", "convert", tmp_path / "x.xml", tmp_path, "--from", "cvat")
    assert (code, "exists already" in err) == (2, True)


def test_two_images_with_one_label_file_on_some_disks(tmp_path, capsys):
    """Names that differ in a dot are one file; in letters they are one file on some disks, which then refuse it."""
    coco = make_set()
    coco["images"][0]["file_name"], coco["images"][1]["file_name"] = "a/1.jpg", "a/./1.jpg"
    source = tmp_path / "people.json"
    source.write_text(json.dumps(coco))
    code, _, err = run_in_process(capsys, "dataset", "convert", source, tmp_path / "yolo", "--to", "yolo")
    assert code == 2
    assert "exists already" in err or "alike" in err
    assert list(tmp_path.iterdir()) == [source]


def test_a_folder_is_created_whole_or_not_at_all(tmp_path):
    target = tmp_path / "above" / "folder"
    with pytest.raises(KeyError), create_folder(target) as draft:
        (draft / "half").write_text({}["nothing"])
    assert list(target.parent.iterdir()) == []
    with create_folder(target) as draft:
        (draft / "file").write_text("whole")
    assert (target / "file").read_text() == "whole"
    with pytest.raises(OSError, match="exists already and is not overwritten"), create_folder(target):
        pass


@pytest.mark.parametrize("folder", ["file", "/proc"])
def test_a_target_that_cannot_be_written_is_reported_before_anything_is_read(tmp_path, capsys, folder):
    (tmp_path / "file").touch()
    target = tmp_path / folder / "new.json"  # below a file, or on a file system where nothing can be created
    code, _, err = run_in_process(capsys, "dataset", "convert", tmp_path / "none.xml", target, "--from", "cvat")
    assert (code, "written" in err, "none" in err, err.count("\n")) == (2, True, False, 1), err
    code, _, err = run_in_process(capsys, "dataset", "convert", tmp_path / "none.json", target, "--to", "yolo")
    assert (code, "written" in err, "none" in err, err.count("\n")) == (2, True, False, 1), err


@pytest.mark.parametrize("exists", [False, True])
def test_disks_without_links_are_written_to(tmp_path, monkeypatch, exists):
    def refuse(*paths):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    target = tmp_path / "a.json"
    if not exists:
        assert write_file(target, "new", overwrite=False).read_text() == "new"
        return
    target.write_text("precious")
    with pytest.raises(OSError, match="exists already and is not overwritten"):
        write_file(target, "new", overwrite=False)
    assert target.read_text() == "precious"
