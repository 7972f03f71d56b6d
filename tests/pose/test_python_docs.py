"""Every snippet of docs/python.md runs as it stands."""

import re
import shutil

import cv2
import pytest

from tests.conftest import ROOT
from tests.media.test_sources import write_video
from tests.tiny_files import make_image

TEXT = (ROOT / "docs/python.md").read_text(encoding="utf-8")


def test_snippets_run_as_they_stand(files, tiny_model, tmp_path, monkeypatch):
    config, checkpoint = tiny_model
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos" / "inner").mkdir(parents=True)
    (tmp_path / "configs").mkdir()
    for name in ("photo.jpg", "a.jpg", "b.jpg", "photos/a.jpg", "photos/inner/b.jpg"):
        cv2.imwrite(name, make_image())
    write_video(tmp_path / "clip.avi", 3).rename("clip.mp4")
    shutil.copy(files["end2end"], "rtmo-s.onnx")
    shutil.copy(checkpoint, "rtmo-s.pth")
    shutil.copy(config, "configs/rtmo-s_coco.py")
    snippets = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    assert len(snippets) == 6
    names = {"image": make_image()}
    for snippet in snippets[:5]:
        exec(snippet, names)
    assert cv2.imread("drawn.jpg").shape == cv2.imread("drawn.png").shape == make_image().shape
    pytest.importorskip("supervision", reason="the package supervision is not installed")
    exec(snippets[5], names)
