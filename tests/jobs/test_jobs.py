"""Jobs without Ray: the same records as ``rtmo predict``, whatever happens to whoever works on them."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest

from rtmo_plugin import __version__
from rtmo_plugin.errors import ConfigError, DataError, MissingFileError, StoppedError
from rtmo_plugin.jobs import open_job, read_records, run_job
from rtmo_plugin.jobs.shard_files import ShardFiles
from rtmo_plugin.jobs.worker import MAX_CRASHES, Worker
from tests.conftest import ROOT
from tests.jobs.conftest import SCORE_THR, needs_parquet, write_slow_image


@pytest.fixture
def begin(tiny_file, folder, tmp_path):
    """Return a function that begins a job of the folder, or goes on with it."""

    def begin(**changes):
        options = {"source": folder, "score_thr": SCORE_THR, "threads": 1, "shard_size": 5, **changes}
        return open_job(options.pop("model", tiny_file), out=tmp_path / "out", **options)

    return begin


def list_files(folder):
    """Return the files of records, each with what changes when it is written anew."""
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in sorted(folder.glob("shard-*"))}


@pytest.mark.parametrize("records", ["jsonl", pytest.param("parquet", marks=needs_parquet)])
def test_records_are_those_of_predict(begin, expected, records):
    job = begin(records=records)
    reports = list(run_job(job))
    assert list(read_records(job.folder)) == expected
    assert sum(len(record["people"]) for record in expected) == sum(report.num_people for report in reports) > 50
    assert Counter(bool(record["error"]) for record in expected) == {
        True: sum(report.num_failed for report in reports),
        False: sum(report.num_images for report in reports),
    }
    assert sum(report.num_failed for report in reports) == 3
    assert [report.number for report in reports] == list(range(len(job.shards)))
    assert os.listdir(job.folder / "running") == []


def test_a_restart_does_what_is_missing_and_nothing_else(begin, expected):
    job = begin()
    reports = run_job(job)
    next(reports)
    with pytest.raises(ConfigError, match=r"Another process is at work on the job in .*out\."):
        next(run_job(begin()))
    next(reports)
    reports.close()
    before = list_files(job.folder)
    assert len(before) == 4  # of the images, and three of the video of twelve frames
    job = begin(threads=2, batch_size=1)
    assert [shard.number for shard in job.find_remaining()] == list(range(2, 9))
    assert len(list(run_job(job))) == 7
    assert list(read_records(job.folder)) == expected
    assert before.items() <= list_files(job.folder).items()
    assert list(run_job(begin())) == []


def test_a_long_video_goes_on_where_it_was(begin, expected):
    job = begin()
    list(run_job(job))
    parts = [f"shard-0000001-{part}.jsonl" for part in ("000000", "000001", "end")]
    assert list(list_files(job.folder))[1:4] == parts
    for name in parts[1:]:
        (job.folder / name).unlink()
    before = list_files(job.folder)
    assert len(list(run_job(begin()))) == 1
    assert list(read_records(job.folder)) == expected
    assert before.items() <= list_files(job.folder).items()


def test_a_shard_may_be_asked_for_twice(begin):
    job = begin()
    worker = Worker(job.plan)
    (job.folder / "running").mkdir()
    first = worker.run(job.shards[0])
    before = list_files(job.folder)
    assert worker.run(job.shards[0]) == first
    assert list_files(job.folder) == before


def test_a_shard_of_which_workers_die_is_left_out_until_the_next_time(begin, expected, folder):
    job = begin()
    (job.folder / "running").mkdir()
    for number in range(MAX_CRASHES):
        (job.folder / "running" / f"shard-0000003.machine.{number}").touch()
    (job.folder / "running" / "shard-0000003-end.jsonl.machine.1").write_text("unfinished")
    failed = [report for report in run_job(job) if report.failure]
    assert [report.failure for report in failed] == [
        "Shard 3 is left out, because 3 processes crashed on it, perhaps because of " + f"{folder / '5.avi'}."
    ]
    assert ShardFiles(job.folder, 3, "jsonl").count_crashes() == 0
    assert [report.number for report in run_job(begin())] == [3]
    assert list(read_records(job.folder)) == expected


def test_another_job_is_refused(begin, folder, tiny_file, tmp_path):
    begin()
    other = tmp_path / "other.onnx"
    other.write_bytes(tiny_file.read_bytes() + b"\0")
    changes = {
        "has a job with other model: start it again as it was": {"model": other},
        'has a job with options {"score_thr": 0.1}, and not {"score_thr": 0.2}': {"score_thr": 0.2},
        "has a job with files 13, and not 1:": {"source": [folder / "0.png"]},
        "has a job with other names:": {"source": sorted(map(str, folder.iterdir()), reverse=True)},
        "has a job with shard_size 5, and not 6": {"shard_size": 6},
    }
    for words, change in changes.items():
        with pytest.raises(ConfigError, match=words):
            begin(**change)
    manifest = tmp_path / "out" / "job.json"
    manifest.write_text(manifest.read_text().replace(f'"{__version__}"', '"0.0.1"'))
    with pytest.raises(ConfigError, match=r'has a job with rtmo_plugin "0\.0\.1", and not'):
        begin()
    manifest.write_text("{}")
    with pytest.raises(DataError, match="is damaged or of another version"):
        begin()


@needs_parquet
def test_a_job_keeps_its_format_and_parquet_has_no_odd_names(begin):
    with pytest.raises(ConfigError, match="Parquet cannot hold the name"):
        begin(source=["\udce4.png"], records="parquet")
    begin()
    with pytest.raises(ConfigError, match='has a job with records "jsonl", and not "parquet"'):
        begin(records="parquet")


def test_what_is_wrong_is_said_before_anything_is_written(begin, tmp_path):
    wrong = {
        r"The model file gone\.onnx does not exist": {"model": "gone.onnx"},
        "choose jsonl or parquet": {"records": "csv"},
        "shard_size must be a whole number from 1 to 1000000000, got 0": {"shard_size": 0},
    }
    for words, change in wrong.items():
        with pytest.raises((ConfigError, MissingFileError), match=words):
            begin(**change)
    assert not (tmp_path / "out").exists()
    job = begin(runtime="none")
    with pytest.raises(StoppedError, match="The runtime 'none' is unknown"):
        next(run_job(job))


def test_a_worker_that_sees_another_folder_stops(begin):
    job = begin()
    (job.folder / "job.json").write_text(json.dumps({"id": "of another machine"}))
    with pytest.raises(StoppedError, match="it must be one that all machines share"):
        next(run_job(job))


_RUN = """
import resource, sys
from rtmo_plugin.jobs import open_job, run_job
model, out, limit, *names = sys.argv[1:]
resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
print(*sorted({"ray", "torch", "pandas", "pyarrow", "mmengine"} & set(sys.modules)))
for report in run_job(open_job(model, names, out, score_thr=0.1, threads=1, shard_size=2)):
    print(report.number, flush=True)
"""


def start(*arguments):
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": ROOT}
    return subprocess.Popen([sys.executable, "-c", _RUN, *map(str, arguments)], **options)


def test_a_process_that_is_killed_and_a_full_disk_lose_nothing(tiny_file, folder, expected, tmp_path):
    """A large image is where the process is killed; a limit of file sizes is the full disk."""
    names = [tmp_path / f"{number}.png" for number in range(5)]
    for name in names:
        os.link(folder / name.name, name)
    names[3].unlink()
    write_slow_image(names[3])
    process = start(tiny_file, tmp_path / "out", 10**6, *names)
    assert [process.stdout.readline() for _ in range(2)] == ["\n", "0\n"]
    while not list((tmp_path / "out/running").glob("shard-0000001.*")):
        assert process.poll() is None
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    before = list_files(tmp_path / "out")
    assert list(before) == ["shard-0000000-end.jsonl"]

    names[3].unlink()
    os.link(folder / "3.png", names[3])
    out, err = start(tiny_file, tmp_path / "out", 1000, *names).communicate()
    assert out == "\n"
    assert err.splitlines()[-1].endswith("shard-0000001-end.jsonl cannot be written: File too large.")
    assert list_files(tmp_path / "out") == before

    out, err = start(tiny_file, tmp_path / "out", 10**6, *names).communicate()
    assert (out, err) == ("\n1\n2\n", "")
    people = {os.path.basename(record["image"]): record["people"] for record in expected}
    found = [(os.path.basename(record["image"]), record["people"]) for record in read_records(tmp_path / "out")]
    assert found == [(name.name, people[name.name]) for name in names]
    assert before.items() <= list_files(tmp_path / "out").items()
