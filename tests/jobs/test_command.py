"""``rtmo predict --records``: the command does jobs, and says in a sentence what keeps it from that."""

import json

import pytest

from rtmo_plugin.jobs import read_records
from tests.conftest import run_command
from tests.jobs.conftest import SCORE_THR


def test_records_of_the_command_are_the_lines_of_json(tiny_file, folder, tmp_path, capsys):
    predict = ("predict", tiny_file, folder, "--score-thr", SCORE_THR, "--threads", 1)
    code, lines, _ = run_command(capsys, *predict, "--json")
    assert code == 1
    job = (*predict, "--records", "jsonl", "--out", tmp_path)
    code, out, err = run_command(capsys, *job)
    assert (code, err) == (1, "9 of 9 shards are to do: 13 images and videos\n")
    records = list(map(json.loads, lines.splitlines()))
    assert list(read_records(tmp_path)) == records
    num_people = sum(len(record["people"]) for record in records)
    num_frames = sum(record["time"] is not None and not record["error"] for record in records)
    images = f"{len(records) - num_frames - 3} images and {num_frames} frames"
    assert out == f"{num_people} detections in {images}, and 3 errors: records in {tmp_path}\n"
    code, out, err = run_command(capsys, *job)
    assert (code, out) == (0, f"9 shards done before, nothing left to do: records in {tmp_path}\n")
    code, out, err = run_command(capsys, *job, "--json")
    assert (code, out, err) == (0, "", "0 of 9 shards are to do: 13 images and videos\n")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--records", "jsonl"], "error: Files of records need a folder: add --out DIR."),
        (["--workers", "2"], "error: --workers applies to Ray only: add --ray."),
        (["--shard-size", "2"], "error: --shard-size applies to files of records only: add --records jsonl."),
    ],
)
def test_what_is_missing_is_said(arguments, sentence, capsys):
    code, out, err = run_command(capsys, "predict", "model.onnx", "images", *arguments)
    assert (code, out, err.strip()) == (2, "", sentence)
