"""The table of exported formats: every row has a test, and says what was measured or why nothing was."""

import dataclasses
import re

import numpy as np
import pytest

from benchmarks import formats
from benchmarks.format_rows import ROWS
from rtmo_plugin.errors import ConfigError
from rtmo_plugin.runtime.detections import Detections
from tests.conftest import ROOT


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_each_row_names_a_test_that_exists(row):
    file, function = row.test.split("::")
    assert f"\ndef {function}(" in (ROOT / "tests" / file).read_text(encoding="utf-8")


def test_the_table_of_the_page_has_these_rows():
    text = (ROOT / "docs/export.md").read_text(encoding="utf-8")
    table = text.split("## All formats")[1].split("\n## ")[0]
    assert re.findall(r"^\| ([^|]+?) \|", table, re.MULTILINE)[1:] == [row.name for row in ROWS]


@pytest.mark.slow
def test_a_row_is_measured_or_says_why_not(trained, monkeypatch):
    written = next(row for row in ROWS if row.name == "ONNX, end2end")
    missing = dataclasses.replace(written, name="ONNX, missing", packages=("no_such_package",))
    refused = dataclasses.replace(written, name="ONNX, refused", options={"size": "100x100"})
    monkeypatch.setattr(formats, "ROWS", (written, missing, refused))
    report = formats.run(checkpoint=str(trained.checkpoint), num_images=2, rounds=1)
    pytorch, found, absent, impossible = report.sides
    assert pytorch["name"] == "PyTorch"
    assert found["ap"] == pytest.approx(pytorch["ap"], abs=0.02)
    assert found["milliseconds"] > 0
    assert found["megabytes"] > 0.1
    assert absent["note"] == "not tried: no_such_package is not installed"
    assert impossible["note"].startswith("not written: The size 100x100 is not possible")
    assert "ap" not in absent
    assert "ap" not in impossible


def test_keypoints_are_compared_person_by_person(tmp_path):
    boxes = np.array([[0.0, 0, 50, 100], [60, 0, 90, 100]])
    points = np.arange(68, dtype=float).reshape(2, 17, 2)
    expected = Detections(boxes, np.array([0.9, 0.8]), points, np.ones((2, 17)), np.zeros(2, np.int64))
    found = dataclasses.replace(expected.select([1, 0]), keypoints=points[[1, 0]] + np.array([3.0, 4.0]))
    image = np.zeros((100, 100, 3), np.uint8)
    subject = formats.Subject("config", "checkpoint", (image,), (expected,), tmp_path)
    compare = formats.compare_with_checkpoint
    assert compare(lambda _: found, subject) == {"worst_px": 5.0, "most_px": 5.0, "missing": 0}
    assert compare(lambda _: found.select([0]), subject)["missing"] == 1
    assert compare(lambda _: found.select([]), subject) == {"missing": 2}


def test_a_name_that_no_row_has_is_refused():
    with pytest.raises(ConfigError, match="no row contains 'tensorflow'; the rows are ONNX, end2end"):
        formats.run(checkpoint="none.pth", only="tensorflow")
