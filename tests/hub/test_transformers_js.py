"""A published folder in the real transformers.js, in a browser: every ONNX file finds the people that Python finds."""

import base64
import functools
import hashlib
import io
import tarfile
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np
import pytest

from rtmo_plugin import Pose
from rtmo_plugin.api import publish
from rtmo_plugin.downloads import ERRORS, DownloadLimitError, open_url
from rtmo_plugin.errors import MissingFileError
from rtmo_plugin.export.ort_web import REGISTRY, fetch_ort_web, read_ort_web
from rtmo_plugin.hub.model_folder import ONNX_FILES
from tests.browser import CHROMIUM, Browser
from tests.tiny_files import make_image

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium to run transformers.js in"),
]

ADDRESS = f"{REGISTRY}/@huggingface/transformers/-/transformers-4.3.2.tgz"
SHA512 = "V3+dqf3iWlRYJ9I9GreM3zGQd0lAXnnoPeddmkOQYWAEE4l/+Fi6p7tx/qVUJlKQgLXGim2W76rTOzz+eC0i7g=="
PAGE = """<!doctype html><script type="importmap">{"imports": {
  "onnxruntime-common": "./ort.webgpu.min.js", "onnxruntime-web/webgpu": "./ort.webgpu.min.js"}}</script>"""
DETECT = """async (options) => {
  const { AutoModel, AutoProcessor, RawImage, env } = await import("./transformers.js");
  const binary = `${location.origin}/ort-wasm-simd-threaded.asyncify`;
  Object.assign(env, { allowRemoteModels: false, allowLocalModels: true, localModelPath: location.origin });
  Object.assign(env.backends.onnx.wasm, { wasmPaths: { mjs: `${binary}.js`, wasm: `${binary}.wasm` }, proxy: false });
  const model = await AutoModel.from_pretrained("published", { device: "wasm", ...options });
  const processor = await AutoProcessor.from_pretrained("published");
  const { pixel_values: input } = await processor(await RawImage.fromURL("image.png"));
  const { dets, keypoints } = await model({ input });
  return { dets: dets.tolist()[0], keypoints: keypoints.tolist()[0], labels: model.config.id2label };
}"""


def fetch_transformers():
    """Return the script of transformers.js for browsers, or skip."""
    try:
        with open_url(ADDRESS, timeout_s=20) as answer:
            content = b"".join(answer.read_chunks(10**8))
    except (*ERRORS, DownloadLimitError) as error:
        pytest.skip(f"no @huggingface/transformers from {REGISTRY}: {error}")
    assert base64.b64encode(hashlib.sha512(content).digest()).decode() == SHA512
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        return archive.extractfile("package/dist/transformers.web.min.js").read()


@pytest.fixture(scope="module")
def site(tiny_model, tmp_path_factory):
    """Return a folder with a published model, an image of its input's size, and the scripts, and its address."""
    folder = tmp_path_factory.mktemp("site")
    try:
        for name, content in read_ort_web(fetch_ort_web()).items():
            (folder / name).write_bytes(content)
    except MissingFileError as error:
        pytest.skip(f"no onnxruntime-web: {error}")
    (folder / "transformers.js").write_bytes(fetch_transformers())
    (folder / "index.html").write_text(PAGE)
    images = tmp_path_factory.mktemp("images")
    for seed in range(4):
        cv2.imwrite(str(images / f"{seed}.png"), make_image(96, 64, seed))
    (folder / "image.png").write_bytes((images / "0.png").read_bytes())
    config, checkpoint = tiny_model
    result = publish(checkpoint, folder / "published", config=config, onnx=True, half=True, int8_images=images)
    assert set(ONNX_FILES) < set(result.files)
    handler = functools.partial(_Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield folder, f"http://127.0.0.1:{running.server_port}/"
        running.shutdown()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def test_people_are_python_s_with_every_file(site, tmp_path):
    folder, address = site
    with Browser(tmp_path) as browser:
        browser.open(address)
        # Untrained weights multiply the rounding of eight bits, which differs between machines.
        choices = (("{}", 0.5), ('{ dtype: "fp16" }', 0.5), ('{ dtype: "int8" }', 2.0))
        for file, (options, tolerance) in zip(ONNX_FILES, choices, strict=True):
            found = browser.evaluate(f"({DETECT})({options})")
            people = Pose.from_pretrained(folder / "published", file=file, score_thr=0.0, precision="float32")(
                folder / "image.png"
            )
            assert list(found["labels"].values()) == list(people.keypoint_names)
            assert len(found["dets"]) == len(people) > 3
            np.testing.assert_allclose(np.array(found["dets"])[:, 4], people.scores, atol=0.005)
            # Equal scores may swap places.
            points = np.array(found["keypoints"])[..., :2]
            distances = np.abs(points[:, None] - people.keypoints[None]).max(axis=(2, 3))
            assert sorted(distances.argmin(axis=1)) == list(range(len(people))), file
            assert distances.min(axis=1).max() < tolerance, file
