"""The page of ``rtmo serve`` in a real browser: an image is dropped, seen with its people, and their JSON saved."""

import json

import cv2
import numpy as np
import pytest

from rtmo_plugin import Pose
from tests.browser import CHROMIUM, Browser
from tests.tiny_files import make_image

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium to open the page with")

STATUS, ERROR = "document.getElementById('status').textContent", "document.getElementById('error')"
LABEL = "document.getElementById('canvas').getAttribute('aria-label')"
NUM_OF_COLOR = """(() => {
  const canvas = document.getElementById("canvas");
  const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  let count = 0;
  for (let i = 0; i < data.length; i += 4) count += data[i] === 0xe6 && data[i + 1] === 0x9f && data[i + 2] === 0;
  return count;
})()"""


@pytest.fixture(scope="module")
def browser(port, tmp_path_factory):
    """Return the page, ready."""
    with Browser(tmp_path_factory.mktemp("browser")) as opened:
        opened.open(f"http://127.0.0.1:{port}/")
        opened.wait_for("document.getElementById('limits').textContent")
        yield opened


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    """Return an image file."""
    path = tmp_path_factory.mktemp("photos") / "two people.png"
    path.write_bytes(cv2.imencode(".png", make_image(300, 140))[1].tobytes())
    return path


@pytest.fixture
def shown(browser, photo):
    """Return the page when the image was dropped on it."""
    browser.evaluate("document.getElementById('canvas').setAttribute('aria-label', '')")
    browser.drop(photo)
    browser.wait_for(f"{LABEL}.endsWith('in two people.png')")
    return browser


@pytest.fixture(scope="module")
def people(photo, tiny_file):
    """Return who is in the image, as ``Pose`` finds them."""
    return [each for each in Pose(tiny_file, score_thr=0.1)(photo).to_dict()["people"] if each["score"] >= 0.2]


def test_dropped_picture_is_shown_with_its_people(shown, people):
    assert shown.evaluate(f"{STATUS}.startsWith('{len(people)} people in two people.png, found in ')")
    assert shown.evaluate("document.getElementById('canvas').width") == 300
    assert shown.evaluate(NUM_OF_COLOR) > 20  # the first person's limbs
    rows = shown.evaluate("[...document.querySelectorAll('.person')].map((row) => row.innerText)")
    assert [row.split()[-1] for row in rows] == [f"{person['score']:.2f}" for person in people]


def test_downloads(shown, people):
    shown.evaluate("document.getElementById('save-json').click()")
    saved = json.loads(shown.wait_for_download("two people.json").read_text())
    assert saved["people"] == people
    assert (saved["image"], saved["width"], len(saved["keypoint_names"])) == ("two people.png", 300, 17)
    shown.evaluate("document.getElementById('save-image').click()")
    assert cv2.imread(str(shown.wait_for_download("two people_people.jpg"))).shape == (140, 300, 3)


def test_slider_leaves_people_out(shown, people):
    highest = f"{people[0]['score'] - 0.01:.2f}"
    move = """(value) => {
      const slider = document.getElementById("score");
      Object.assign(slider, { step: 0.01, value }).dispatchEvent(new Event("input"));
    }"""
    shown.evaluate(f"({move})({highest})")
    num_left = sum(person["score"] >= float(highest) for person in people)
    assert shown.evaluate("document.querySelectorAll('.person').length") == num_left < len(people)
    shown.evaluate(f"({move})(0.2)")


def test_what_is_refused_is_said_in_one_sentence(shown, tmp_path):
    (tmp_path / "large.png").write_bytes(bytes(200_001))
    (tmp_path / "wide.png").write_bytes(cv2.imencode(".png", np.zeros((708, 708, 3), np.uint8))[1].tobytes())
    (tmp_path / "words.jpg").write_text("hello")
    for name, sentence in {
        "large.png": "The file has more than 0.2 MB, which is the limit: send a smaller one.",
        "wide.png": "The file has 708 x 708 pixels, more than the limit of 0.5 million; use a smaller image.",
        "words.jpg": "The file is not an image: give JPEG, PNG, WebP, BMP or TIFF.",
    }.items():
        shown.drop(tmp_path / name)
        shown.wait_for(f"{ERROR}.textContent === {json.dumps(f'{name}: {sentence}')} && !{ERROR}.hidden")
        assert shown.evaluate(STATUS) == "Still shown: two people.png."


def test_keyboard_is_enough(shown):
    shown.evaluate("document.activeElement.blur(); document.getElementById('choose').focus()")
    reached = []
    while (name := shown.evaluate("document.activeElement.id || document.activeElement.className")) != "save-image":
        reached.append(name)
        shown.press("Tab", 9)
        assert len(reached) < 100
    steps = list(dict.fromkeys(reached))
    assert steps == ["choose", "webcam", "score", "visibility", "person", "save-json"]
    shown.evaluate("document.querySelector('.person').focus()")
    shown.press("Enter", 13, "\r")
    assert shown.evaluate("document.querySelector('.person').getAttribute('aria-pressed')") == "true"
    assert shown.evaluate("document.querySelectorAll('#keypoints tbody tr').length") == 17
    shown.press("Enter", 13, "\r")
    assert shown.evaluate("document.getElementById('keypoints').hidden")


def test_webcam(shown):
    """Chromium has one that shows a test pattern."""
    shown.evaluate("document.getElementById('webcam').click()")
    shown.wait_for(f"{LABEL}.endsWith('in webcam')")
    assert shown.evaluate(STATUS) == "The webcam is on."
    shown.press("Escape", 27)
    shown.wait_for("document.getElementById('webcam').textContent === 'Use the webcam'")
    shown.evaluate("document.getElementById('save-json').click()")
    assert json.loads(shown.wait_for_download("webcam.json").read_text())["image"] == "webcam"


def test_browser_had_nothing_to_complain_of(browser):
    """But the two files that the server refused in the test before."""
    complaints = {each.get("text", str(each)).rpartition("a status of ")[2] for each in browser.list_complaints()}
    large = {"413 (Request Entity Too Large)", "413 (Content Too Large)"}  # Python 3.13 has the new name
    assert complaints <= {*large, "415 (Unsupported Media Type)"}
