"""The folder of ``--format web``: its files without a browser, and the page in a real one, beside Python."""

import base64
import dataclasses
import functools
import json
import re
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np
import pytest
from PIL import Image

from rtmo_plugin import Pose
from rtmo_plugin.api import export
from rtmo_plugin.errors import ConfigError, MissingFileError, OutputError
from rtmo_plugin.export.ort_web import RUNTIME_FILES, fetch_ort_web, read_ort_web
from rtmo_plugin.media.video_writer import VideoWriter
from rtmo_plugin.runtime.letterbox import apply_letterbox
from rtmo_plugin.webpage.page_files import PAGE, PAGE_FILES
from tests.browser import CHROMIUM, Browser
from tests.conftest import ROOT
from tests.tiny_files import make_image

OWN_FILES = ROOT / "rtmo_plugin/export/web"
MODEL, STATUS = "document.getElementById('model').textContent", "document.getElementById('status').textContent"
ERROR = "document.getElementById('error')"
LABEL = "document.getElementById('canvas').getAttribute('aria-label')"
READY = f"document.getElementById('limits').textContent || !{ERROR}.hidden"
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium to open the page with")
FILL = """async (images, sizeWh) => {
  const { fillInput, placeImage, restorePoint } = await import("./letterbox.js");
  return images.map(({ width, height, pixels }) => {
    const data = Uint8ClampedArray.from(atob(pixels), (each) => each.charCodeAt(0));
    const placement = placeImage([width, height], sizeWh);
    const planes = new Float32Array(3 * sizeWh[0] * sizeWh[1]);
    fillInput(planes, { data, width, height }, placement, [114, 115, 116]);
    return [[...planes], restorePoint(placement, 10.5, 20.25)];
  });
}"""


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """Return a folder with the names of onnxruntime-web's files, and nothing in them."""
    folder = tmp_path_factory.mktemp("package")
    for name in RUNTIME_FILES:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps({"name": "onnxruntime-web"}))
    return folder


@pytest.fixture(scope="module")
def exported(tiny_model, package, tmp_path_factory):
    """Return the result of an export without ONNX Runtime."""
    folder = tmp_path_factory.mktemp("site") / "models/tiny page"
    return export(*tiny_model, folder, format="web", ort_web=package, score_thr=0.05)


@pytest.fixture(scope="module")
def page(exported):
    """Return the exported folder, inside of the folder that is served."""
    return exported.path


@pytest.fixture(scope="module")
def site(page):
    """Return the address of a server for the folder above ``models``, as ``python3 -m http.server`` serves."""
    handler = functools.partial(_Quiet, directory=str(page.parents[1]))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}/models/tiny%20page"
        running.shutdown()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def test_folder_has_everything_and_the_served_page_s_own_files(page):
    names = {*PAGE_FILES, "detector.js", "worker.js", "letterbox.js", "model.onnx", "model.json"}
    runtime = {f"ort/{name}" for name in RUNTIME_FILES.values()}
    found = {str(each.relative_to(page)) for each in page.rglob("*") if each.is_file()}
    assert found == names | runtime
    for folder, files in ((PAGE, PAGE_FILES), (OWN_FILES, ("detector.js", "worker.js", "letterbox.js"))):
        assert all((page / name).read_bytes() == (folder / name).read_bytes() for name in files)


def test_description_is_that_of_the_model(page):
    described = json.loads((page / "model.json").read_text())
    info = Pose(page / "model.onnx").info
    assert described["keypoint_names"] == list(info.schema.names)
    assert (described["size_wh"], described["pad_value"], info.dynamic) == ([96, 64], [114, 114, 114], ())
    assert (described["lowest_score"], described["score_thr"], info.score_thr) == (0.05, 0.3, 0.05)


def test_summary_names_the_folder_and_how_to_open_it(exported):
    summary = exported.describe()
    assert " in 17 files, 96x64, end2end, float32\n" in summary
    assert summary.endswith(
        f"to open it: python3 -m http.server --directory '{exported.path}', then http://localhost:8000"
    )


def test_summary_of_a_core_ml_package_names_no_server(exported, tmp_path):
    path = tmp_path / "model.mlpackage"
    path.mkdir()
    summary = dataclasses.replace(exported, path=path).describe()
    assert summary.startswith(f"{path}: 0.0 MB in 0 files, 96x64, ")
    assert "to open it" not in summary


def test_only_an_earlier_export_is_replaced(tiny_model, package, page, tmp_path):
    (page / "page.js").write_text("old")
    export(*tiny_model, page, format="web", ort_web=package, score_thr=0.05)
    assert (page / "page.js").read_bytes() == (PAGE / "page.js").read_bytes()
    (tmp_path / "index.html").write_text("mine")
    with pytest.raises(OutputError, match="exists already and is not overwritten"):
        export(*tiny_model, tmp_path, format="web", ort_web=package)
    assert [each.name for each in tmp_path.iterdir()] == ["index.html"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"cut": "raw"}, "The page runs models of --cut end2end with one size"),
        ({"input": "uint8"}, "leave out --cut, --input and --dynamic"),
        ({"dynamic": "batch,size"}, "leave out --cut, --input and --dynamic"),
        ({"out": "page.onnx"}, r"--out .*page\.onnx: name a folder, which --format web writes"),
        ({"format": "onnx", "out": "x.onnx"}, "--ort-web is for --format web"),
    ],
)
def test_options_that_do_not_fit_are_refused(tiny_model, package, tmp_path, options, words):
    out = tmp_path / options.pop("out", "page")
    with pytest.raises(ConfigError, match=words):
        export(*tiny_model, out, ort_web=package, **{"format": "web", **options})
    assert not out.exists()


@needs_browser
def test_letterbox_is_python_s_bit_by_bit(site, tmp_path):
    images = [make_image(*size_wh) for size_wh in ((150, 70), (96, 64), (48, 32), (31, 200), (300, 17), (7, 5))]
    given = []
    for image in images:
        rgba = np.ascontiguousarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGBA))
        given.append({"width": image.shape[1], "height": image.shape[0], "pixels": encode(rgba)})
    with Browser(tmp_path) as browser:
        browser.open(f"{site}/style.css")
        found = browser.evaluate(f"({FILL})({json.dumps(given)}, [96, 64])")
    for image, (planes, point) in zip(images, found):
        expected, letterbox = apply_letterbox(image, (96, 64), (114, 115, 116))
        assert np.array_equal(np.array(planes).reshape(3, 64, 96), expected.transpose(2, 0, 1))
        assert point == pytest.approx(letterbox.restore(np.array([10.5, 20.25])).tolist(), abs=1e-9)


def encode(pixels):
    return base64.b64encode(pixels.tobytes()).decode()


@needs_browser
def test_page_that_is_opened_as_a_file_says_what_to_do(page, tmp_path):
    with Browser(tmp_path) as browser:
        browser.open((page / "index.html").as_uri())
        browser.wait_for(f"!{ERROR}.hidden")
        assert browser.evaluate(f"{ERROR}.textContent") == (
            "Browsers do not run this page from a file. Serve its folder, for example with python3 -m http.server "
            f'--directory "{page}" and open http://localhost:8000.'
        )


@pytest.fixture(scope="module")
def runtime(page):
    """Put ONNX Runtime into the exported folder, or skip."""
    try:
        package = fetch_ort_web()
    except MissingFileError as error:
        pytest.skip(f"no onnxruntime-web: {error}")
    for name, content in read_ort_web(package).items():
        (page / "ort" / name).write_bytes(content)


@pytest.fixture(scope="module")
def opened(site, runtime, tmp_path_factory):
    """Return the page in a browser, ready."""
    with Browser(tmp_path_factory.mktemp("browser")) as browser:
        browser.open(f"{site}/")
        browser.wait_for(READY)
        assert browser.evaluate(f"{ERROR}.textContent") == ""
        yield browser


def detect(browser, path):
    """Choose a file as a person does, and return the people in the JSON that the page saves."""
    browser.evaluate(f"document.getElementById('canvas').setAttribute('aria-label', ''), {ERROR}.hidden = true")
    browser.choose(path)
    browser.wait_for(f"!{ERROR}.hidden || {LABEL}.endsWith({json.dumps(f'in {path.name}')})")
    assert browser.evaluate(f"{ERROR}.hidden || {ERROR}.textContent") is True
    browser.evaluate("""(() => {
      const slider = document.getElementById("score");
      slider.value = slider.min;
      slider.dispatchEvent(new Event("input"));
      document.getElementById("save-json").click();
    })()""")
    return json.loads(browser.wait_for_download(f"{path.stem}.json").read_text())


def assert_same_people(found, expected):
    assert len(found) == len(expected) > 3
    gather = lambda people, key: np.array([person[key] for person in people])  # noqa: E731
    assert np.abs(gather(found, "score") - gather(expected, "score")).max() < 0.002
    distances = np.abs(gather(found, "keypoints") - gather(expected, "keypoints")).max(axis=(0, 1))
    assert distances[:2].max() < 0.5, distances
    assert distances[2] < 0.01
    assert np.abs(gather(found, "box") - gather(expected, "box")).max() < 0.5


@needs_browser
@pytest.mark.parametrize("name", ["wide.png", "tall.png", "turned.jpg"])
def test_people_are_python_s(opened, page, tmp_path, name):
    sizes_wh = {"wide.png": (300, 140), "tall.png": (70, 190), "turned.jpg": (200, 120)}
    path = tmp_path / name
    exif = Image.Exif()
    exif[274] = 6  # turned by a quarter, which both must undo
    image = cv2.cvtColor(make_image(*sizes_wh[name]), cv2.COLOR_BGR2RGB)
    Image.fromarray(image).save(path, exif=exif, quality=95, subsampling=0)
    saved = detect(opened, path)
    assert_same_people(saved["people"], Pose(page / "model.onnx", score_thr=0.05)(path).to_dict()["people"])
    assert (saved["width"], saved["height"]) == sizes_wh[name][::-1]


@needs_browser
def test_what_computes_is_named(opened):
    assert opened.evaluate(MODEL) == "tiny · 17 keypoints · WebAssembly, 1 thread (WebGPU finds no graphics card)"
    assert opened.evaluate("document.getElementById('limits').textContent") == "Nothing leaves this browser."


@needs_browser
@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("words.jpg", b"hello", "The file is not an image that this browser reads: give JPEG, PNG, WebP or BMP."),
        ("words.mp4", b"hello", "This browser does not play this video; mp4 files in H.264 play everywhere."),
    ],
)
def test_what_is_not_an_image_or_video_is_refused_in_a_sentence(opened, tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    opened.choose(tmp_path / name)
    opened.wait_for(f"!{ERROR}.hidden && {ERROR}.textContent.startsWith('{name}')")
    assert opened.evaluate(f"{ERROR}.textContent") == f"{name}: {words}"
    assert opened.evaluate("document.getElementById('webcam').textContent") == "Use the webcam"


@needs_browser
def test_video_is_played_to_its_end(opened, page, tmp_path):
    path = tmp_path / "clip.webm"
    with VideoWriter(path, 10.0) as writer:
        for seed in range(10):
            writer.write(make_image(160, 96, seed // 9))
    saved = detect(opened, path)
    opened.wait_for("document.getElementById('webcam').textContent === 'Use the webcam'")
    assert (saved["image"], saved["width"], saved["height"]) == ("clip.webm", 160, 96)
    assert opened.evaluate(STATUS).endswith(" ms.")


@needs_browser
def test_webcam_shows_how_many_frames_come_in_a_second(opened):
    opened.evaluate("document.getElementById('webcam').click()")
    opened.wait_for(f"{LABEL}.endsWith('in webcam') && !document.getElementById('speed').hidden")
    speed = opened.evaluate("document.getElementById('speed').textContent")
    print(speed)
    assert re.fullmatch(r"[\d.]+ frames per second, \d+ ms each", speed)
    assert opened.evaluate(STATUS) == "The webcam is on."
    opened.press("Escape", 27)
    opened.wait_for("document.getElementById('speed').hidden")


@needs_browser
def test_browser_had_nothing_to_complain_of(opened):
    """But the GPU that this browser is started without."""
    assert {entry.get("text", str(entry)) for entry in opened.list_complaints()} <= {"No available adapters."}


@needs_browser
@pytest.mark.usefixtures("runtime")
def test_phone_has_nothing_to_scroll_to_the_side(site, tmp_path):
    with Browser(tmp_path) as phone:
        phone.become_phone()
        phone.open(f"{site}/?backend=wasm")
        phone.wait_for(READY)
        assert phone.evaluate(MODEL).endswith(" · WebAssembly, 1 thread")
        assert phone.evaluate("document.documentElement.scrollWidth") == 390
