"""No command overwrites an input, by whatever pattern, path or link it is also an output."""

import os
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from rtmo_plugin import Pose
from rtmo_plugin.api import predict
from rtmo_plugin.engine.hooks.prediction_plots import PictureHook
from rtmo_plugin.errors import OutputError
from rtmo_plugin.media.frames import Frame
from rtmo_plugin.media.plot_plan import PlotPlan
from tests.conftest import run_command
from tests.tiny_files import make_image


def write_images(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(cv2.imencode(path.suffix, make_image(90, 60, seed=len(name)))[1].tobytes())


def write_clip(path, num_frames=3):
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (96, 64))
    for _ in range(num_frames):
        writer.write(np.ascontiguousarray(make_image(96, 64)))
    writer.release()


def read_tree(folder):
    """Return the content of every file below a folder, and the target of every link."""
    paths = sorted(Path(folder).rglob("*"))
    return {p: os.readlink(p) if p.is_symlink() else p.read_bytes() for p in paths if p.is_file() or p.is_symlink()}


def refuse(capsys, folder, *arguments):
    """Run a command that must be refused, and return its sentence; every file stays as it is, and none is added."""
    before = read_tree(folder)
    code, _, err = run_command(capsys, *arguments)
    assert read_tree(folder) == before
    assert (code, err.count("\n")) == (2, 1), err
    return err


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Return the current folder, an empty one."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


@pytest.fixture
def model(files):
    return files["decoded"]


def test_a_deep_pattern_finds_the_images_in_the_output_folder(model, place, capsys):
    write_images(place, "photos/a.png", "photos/old/a.png", "photos/b.jpg")
    err = refuse(capsys, place, "predict", model, "photos/**/*.png", "--out", "photos/old")
    assert "photos/old/a.png is an input and would be overwritten" in err
    err = refuse(capsys, place, "predict", model, "**/*.*", "--out", "photos")
    assert "would be overwritten" in err


def test_a_numbered_name_does_not_replace_an_original(model, place, capsys):
    write_images(place, "one/a.png", "two/a.png", "out/a_2.png")
    refuse(capsys, place, "predict", model, "one/a.png", "two/a.png", "out/a_2.png", "--out", "out")


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_a_link_in_the_output_folder_leads_to_an_original(model, place, capsys, link):
    write_images(place, "photos/a.png", "photos/b.png")
    (place / "out").mkdir()
    link(place / "photos" / "b.png", place / "out" / "b.png")
    err = refuse(capsys, place, "predict", model, "photos", "--out", "out")
    assert "out/b.png is the same file as the input photos/b.png" in err
    assert not (place / "out" / "a.png").exists()  # the plan is checked as a whole before the first image


def test_the_output_folder_is_a_link_to_the_images(model, place, capsys):
    write_images(place, "photos/a.png")
    os.symlink("photos", place / "out")
    for folder in ("out", "photos/../photos", str(place / "photos"), "photos/."):
        refuse(capsys, place, "predict", model, "photos", "--out", folder)
        refuse(capsys, place, "predict", model, "photos/a.png", "--out", folder)


def test_a_linked_input_is_not_replaced(model, place, capsys):
    """Not even the link: it is what the user has."""
    write_images(place, "store/x.png")
    (place / "photos").mkdir()
    os.symlink("../store/x.png", place / "photos" / "a.png")
    refuse(capsys, place, "predict", model, "photos/a.png", "--out", "photos")


def test_frames_of_a_video_do_not_replace_images(model, place, capsys):
    write_clip(place / "walk.avi")
    write_images(place, "out/walk_000001.jpg")
    refuse(capsys, place, "predict", model, "walk.avi", "out/walk_000001.jpg", "--out", "out")
    os.rename(place / "out", place / "images")
    code, out, _ = run_command(capsys, "predict", model, "walk.avi", "images/walk_000001.jpg", "--out", "new")
    assert code == 0, out
    assert {p.name for p in (place / "new").iterdir()} == {
        *("predictions.json", "walk_000001.jpg", "walk_2_000000.jpg", "walk_2_000001.jpg", "walk_2_000002.jpg")
    }


def test_what_no_run_reads_may_be_replaced(model, place, capsys):
    """The same command again writes the same pictures; a link that leads elsewhere is replaced, not followed."""
    write_images(place, "photos/a.png", "photos/b.png", "elsewhere.png")
    (place / "out").mkdir()
    os.symlink("../elsewhere.png", place / "out" / "a.png")
    before = (place / "elsewhere.png").read_bytes()
    for _ in range(2):
        code, _, err = run_command(capsys, "predict", model, "photos", "--out", "out")
        assert (code, err) == (0, "")
    assert (place / "elsewhere.png").read_bytes() == before
    assert not (place / "out" / "a.png").is_symlink()


@pytest.mark.parametrize("name", ["A.png", "a.png"])
def test_names_of_one_file_where_case_does_not_count(place, name):
    plan = PlotPlan(place / "out", ["x/a.png", f"y/{name}"])
    names = [plan.choose_path(Frame(None, each, Path(each))).name for each in ("x/a.png", f"y/{name}")]
    assert names == ["a.png", name.replace(".", "_2.")]


def test_long_names_are_cut_and_stay_apart(place):
    stems = ["n" * 250 + end for end in ("1", "2")]
    sources = [f"x/{stem}.gif.tga" for stem in stems]
    plan = PlotPlan(place / "out", sources)
    paths = [plan.choose_path(Frame(None, each, Path(each))) for each in sources]
    assert len(set(paths)) == 2
    assert all(len(path.name) <= 255 and path.suffix == ".png" for path in paths)


def test_the_python_functions_keep_originals_too(tiny_model, model, place):
    write_images(place, "photos/a.png")
    os.symlink("photos", place / "out")
    before = read_tree(place)
    with pytest.raises(OutputError, match="would be overwritten"):
        predict(tiny_model[1], place / "photos", out=place / "out", config=tiny_model[0], device="cpu")
    (place / "new").mkdir()
    os.link(place / "photos" / "a.png", place / "new" / "predictions.json")
    before = read_tree(place)
    with pytest.raises(OutputError, match=r"predictions\.json is the same file as the input"):
        predict(tiny_model[1], place / "photos", out=place / "new", config=tiny_model[0], device="cpu")
    result = Pose(model)(place / "photos" / "a.png")
    with pytest.raises(OutputError, match="is the image itself"):
        result.save(place / "out" / "a.png")
    assert read_tree(place) == before


class Images:
    """A data set of image files."""

    def __init__(self, *paths):
        self._paths = paths

    def __len__(self):
        return len(self._paths)

    def get_data_info(self, index):
        return {"img_path": str(self._paths[index])}


@pytest.mark.parametrize("link", [os.symlink, os.link, None])
def test_drawing_a_test_keeps_the_images_of_the_data_set(place, link):
    write_images(place, "data/a.jpg", "data/b.png")
    dataset = Images(place / "data" / "a.jpg", place / "data" / "b.png")
    loop = SimpleNamespace(dataloader=SimpleNamespace(dataset=dataset))
    folder = place / "data"
    if link is not None:
        folder = place / "out"
        folder.mkdir()
        link(place / "data" / "b.png", folder / "b.jpg")
    before = read_tree(place)
    with pytest.raises(OutputError, match="would be overwritten"):
        PictureHook(folder).before_test(SimpleNamespace(test_loop=loop))
    assert read_tree(place) == before
    PictureHook(place / "new").before_val(SimpleNamespace(val_loop=loop, epoch=3))


@pytest.mark.parametrize("link", [os.symlink, os.link, None])
def test_tracking_keeps_the_video(model, place, capsys, link):
    write_clip(place / "walk.avi")
    out = "same/../walk.avi" if link is None else "out.avi"
    (place / "same").mkdir()
    if link is not None:
        link(place / "walk.avi", place / out)
    err = refuse(capsys, place, "track", model, "walk.avi", "--out", out)
    assert "input" in err
    assert "would be overwritten" in err


def test_tracking_keeps_a_source_where_the_lines_would_lie(model, place, capsys):
    write_clip(place / "walk.avi")
    os.link(place / "walk.avi", place / "out.jsonl")
    refuse(capsys, place, "track", model, "walk.avi", "--out", "out.mp4")


def test_tracking_does_not_write_through_links_to_other_files(model, place, capsys):
    write_clip(place / "walk.avi")
    (place / "precious.txt").write_text("precious")
    os.link(place / "precious.txt", place / "out.jsonl")
    os.symlink("precious.txt", place / "out.avi")
    code, _, err = run_command(capsys, "track", model, "walk.avi", "--out", "out.avi")
    assert (code, err) == (0, "")
    assert (place / "precious.txt").read_text() == "precious"
