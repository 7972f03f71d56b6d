"""Every way to give an image to the page, in a real browser: chooser, several in a row, paste, phone."""

import cv2
import numpy as np
import pytest

from tests.browser import CHROMIUM, Browser
from tests.serving.conftest import port  # noqa: F401  (fixtures)
from tests.tiny_files import make_image

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium to open the page with")

STATUS, ERROR = "document.getElementById('status').textContent", "document.getElementById('error')"
CANVAS = "document.getElementById('canvas')"
SEEN = """(() => [...document.querySelectorAll('p, button, h1, label')]
  .filter((each) => each.checkVisibility()).map((each) => each.innerText).join('\\n'))()"""


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Return the files of three images of different sizes, by name."""
    folder = tmp_path_factory.mktemp("pictures")
    sizes_wh = {"first.png": (300, 140), "second.jpg": (200, 120), "third.webp": (160, 90)}
    for name, (width, height) in sizes_wh.items():
        (folder / name).write_bytes(cv2.imencode(folder.joinpath(name).suffix, make_image(width, height))[1].tobytes())
    return {name: (folder / name, size_wh) for name, size_wh in sizes_wh.items()}


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """Return a browser with a mouse and a large screen."""
    with Browser(tmp_path_factory.mktemp("desk")) as browser:
        yield browser


@pytest.fixture
def page(desk, port):  # noqa: F811
    """Return the page, just opened."""
    desk.events.clear()
    open_page(desk, port)
    yield desk
    assert desk.list_complaints() == []


def open_page(browser, number):
    browser.open("about:blank")
    browser.open(f"http://127.0.0.1:{number}/")
    browser.wait_for("document.getElementById('limits').textContent")


def assert_shown(browser, name, size_wh):
    """Wait for the sentence of a picture, and check what is on the canvas."""
    browser.wait_for(f"!{ERROR}.hidden || {STATUS}.includes(' in {name}, found in ')")
    assert browser.evaluate(f"[{ERROR}.textContent, {ERROR}.hidden]") == ["", True]
    assert browser.evaluate(f"[{CANVAS}.width, {CANVAS}.height, {CANVAS}.hidden]") == [*size_wh, False]


def test_the_chooser_shows_one_picture_after_another(page, pictures):
    for name, (path, size_wh) in pictures.items():
        page.choose(path)
        assert_shown(page, name, size_wh)


def test_the_same_file_can_be_chosen_again(page, pictures, tmp_path):
    name, (path, size_wh) = next(iter(pictures.items()))
    for _ in range(2):
        page.evaluate("document.getElementById('status').textContent = ''")
        page.choose(path)
        assert_shown(page, name, size_wh)
    changed = tmp_path / "changed.png"
    for size_wh in ((100, 60), (60, 100)):  # other content under the same name
        page.evaluate("document.getElementById('status').textContent = ''")
        changed.write_bytes(cv2.imencode(".png", np.zeros((size_wh[1], size_wh[0], 3), np.uint8))[1].tobytes())
        page.choose(changed)
        assert_shown(page, "changed.png", size_wh)


def test_a_picture_is_pasted_after_one_was_chosen(page, pictures):
    name, (path, size_wh) = next(iter(pictures.items()))
    page.choose(path)
    assert_shown(page, name, size_wh)
    page.paste_picture(120, 80)
    assert_shown(page, "image.png", (120, 80))


def test_of_several_dropped_files_the_first_is_taken_and_the_page_says_so(page, pictures):
    paths = [path for path, _ in pictures.values()]
    for first, second in (paths[:2], paths[1:]):
        page.drop(first, second)
        page.wait_for(f"{STATUS}.includes(' in {first.name}, found in ')")
        page.wait_for(f"{STATUS}.endsWith(' Only the first file is shown.')")


def test_the_newest_of_two_pictures_is_shown(page, pictures):
    (first, _), (second, size_wh) = list(pictures.values())[:2]
    page.choose(first)
    page.choose(second)
    assert_shown(page, "second.jpg", size_wh)


def test_a_refused_file_does_not_block_the_next(page, pictures, tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_text("hello")
    page.choose(broken)
    page.wait_for(f"!{ERROR}.hidden")
    assert page.evaluate(f"{ERROR}.textContent").startswith("broken.jpg: ")
    name, (path, _) = next(iter(pictures.items()))
    page.choose(path)
    page.wait_for(f"{STATUS}.includes(' in {name}, found in ')")
    assert page.evaluate(f"{ERROR}.hidden")
    page.events.clear()  # the refusal is in the console too


@pytest.mark.parametrize("size_wh", [(390, 844), (320, 568)])
def test_a_phone_is_asked_to_choose_and_not_to_drop(port, pictures, tmp_path, size_wh):  # noqa: F811
    with Browser(tmp_path) as phone:
        phone.become_phone(*size_wh)
        open_page(phone, port)
        words = phone.evaluate(SEEN)
        assert "Tap to choose an image" in words
        assert not any(word in words.lower() for word in ("drop", "paste"))
        assert phone.evaluate("document.documentElement.scrollWidth") == size_wh[0]  # nothing to scroll to the side
        assert phone.evaluate("document.getElementById('choose').getBoundingClientRect().bottom") < size_wh[1]
        name, (path, size_wh) = next(iter(pictures.items()))
        phone.choose(path)
        assert_shown(phone, name, size_wh)


def test_a_desk_is_asked_to_drop(page):
    words = page.evaluate(SEEN)
    assert "Drop an image or video here" in words
    assert "paste" in words
