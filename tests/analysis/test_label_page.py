"""The page of `rtmo dataset show`: labels on their images, numbers, and nothing that it fetches."""

import base64
import re

import cv2
import numpy as np
import pytest

from rtmo_plugin.analysis.label_page import draw_annotations
from rtmo_plugin.files import write_json
from tests.browser import CHROMIUM, Browser
from tests.labels.conftest import make_person, make_set, pictures  # noqa: F401  (a fixture)
from tests.tools.test_tools import run_in_process


def show(capsys, *arguments):
    return run_in_process(capsys, "dataset", "show", *arguments)


def read_images(page):
    found = re.findall(r'alt="labels of ([^"]*)"[^>]*base64,([^"]*)"', page)
    return {name: cv2.imdecode(np.frombuffer(base64.b64decode(text), np.uint8), 1) for name, text in found}


def test_page(tmp_path, capsys, pictures):  # noqa: F811
    coco = make_set()
    coco["categories"][0]["name"] = "<walker>"
    coco["annotations"].append(make_person(4, 300, bbox=[]))
    labels, out = write_json(tmp_path / "people.json", coco), tmp_path / "page.html"
    code, said, err = show(capsys, labels, "--images", pictures, "--out", out, "--limit", 2)
    assert (code, err) == (0, "")
    assert re.match(rf"{out}: 2 images of 3, 0\.\d+ MB; 3 images, 4 annotations, 2 categories", said)
    assert "  1 annotation whose box is missing, NaN, infinite or not four numbers\n" in said
    page = out.read_text()
    assert "<walker>" not in page
    assert "&lt;walker&gt;" in page
    assert "http" not in page
    assert "<script" not in page
    images = read_images(page)
    assert list(images) == ["3.jpg", "1.jpg"]  # that with a finding first
    assert images["1.jpg"].shape == (480, 640, 3)


def test_other_formats_and_folders_of_images(tmp_path, capsys, pictures):  # noqa: F811
    text = "scorer,me,me\nbodyparts,nose,nose\ncoords,x,y\nv/1.jpg,30,20\nv/2.jpg,10,10\n"
    labels = pictures / "CollectedData_me.csv"
    labels.write_text(text)
    code, said, _ = show(capsys, labels, "--images", pictures, "--out", tmp_path / "drawn")
    assert (code, said.splitlines()[0]) == (
        0, f"{tmp_path / 'drawn'}: 2 images of 2; 2 images, 2 annotations, 1 category: animal (1 keypoint)",
    )  # fmt: skip
    assert sorted(path.name for path in (tmp_path / "drawn").iterdir()) == ["1.jpg.jpg", "2.jpg.jpg"]


def test_without_images_there_are_statistics(tmp_path, capsys):
    labels, out = write_json(tmp_path / "people.json", make_set()), tmp_path / "page.html"
    code, _, _ = show(capsys, labels, "--out", out)
    assert code == 0
    page = out.read_text()
    assert "their folder was not given" in page
    assert "left_hand, right_hand" in page


def test_mistakes_are_one_sentence(tmp_path, capsys):
    labels = write_json(tmp_path / "people.json", make_set())
    (tmp_path / "empty").mkdir()
    mistakes = [
        ((labels, "--images", tmp_path / "none", "--out", tmp_path / "a.html"), "The image folder"),
        ((labels, "--images", tmp_path / "empty", "--out", tmp_path / "a.html"), f"{tmp_path / 'empty'} has none of"),
        ((labels, "--out", tmp_path / "drawn"), f"{tmp_path / 'drawn'} is a folder of drawn images, which needs"),
        ((tmp_path / "none.json", "--out", tmp_path / "a.html"), f"The file {tmp_path / 'none.json'} does not exist"),
    ]
    for arguments, sentence in mistakes:
        code, said, err = show(capsys, *arguments)
        assert (code, said) == (2, "")
        assert err.startswith(f"error: {sentence}")
        assert err.count("\n") == 1
    assert not (tmp_path / "a.html").exists()


def test_drawing_marks_boxes_and_hidden_keypoints():
    image, categories = np.zeros((640, 640, 3), np.uint8), make_set()["categories"]
    person = {"category_id": 7, "bbox": [100, 100, 200, 300], "keypoints": [150, 150, 2, 200, 200, 1, *[0] * 9]}
    drawn = draw_annotations(image, [person], categories)
    assert drawn[100, 200].min() > 200  # the box
    assert drawn[300, 500].max() == 0
    assert drawn[200, 205].min() > 150  # the ring
    assert draw_annotations(image, [{"keypoints": "x"}, {}], categories).max() == 0


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium to render the page")
@pytest.mark.parametrize("width", [390, 1280])
def test_page_fits_the_window(tmp_path, capsys, pictures, width):  # noqa: F811
    labels, out = write_json(tmp_path / "people.json", make_set()), tmp_path / "page.html"
    show(capsys, labels, "--images", pictures, "--out", out)
    folder = tmp_path / "browser"
    folder.mkdir()
    with Browser(folder, (width, 900)) as browser:
        browser.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=True)
        browser.open(out.as_uri())
        found = browser.call("Runtime.evaluate", expression="document.documentElement.scrollWidth")
    assert found["result"]["value"] == width
