"""Files of records that are emptied, cut off, changed or lost after a job are found, named and done again."""

import json
import shutil

import pytest

from rtmo_plugin.errors import DataError, StoppedError
from rtmo_plugin.jobs import open_job, read_records, run_job
from rtmo_plugin.jobs.shard_files import ShardFiles
from tests.conftest import run_command
from tests.jobs.conftest import SCORE_THR, folder, needs_parquet  # noqa: F401  (fixtures)

VIDEO = "shard-0000001-"  # of twelve frames: two files of five, and the end


@pytest.fixture(scope="module", params=["jsonl", pytest.param("parquet", marks=needs_parquet)])
def done(request, tiny_file, folder, tmp_path_factory):  # noqa: F811
    """Return the folder of a finished job, its format, and what is needed to start it again."""
    out, records = tmp_path_factory.mktemp("done") / "out", request.param
    options = {"records": records, "score_thr": SCORE_THR, "threads": 1, "shard_size": 5}
    list(run_job(open_job(tiny_file, folder, out, **options)))
    return out, records, lambda place: open_job(tiny_file, folder, place, **options)


def cut(content):
    return content[: len(content) // 2]


def flip(content):
    """Change one digit, so that the file is whole and says something else."""
    place = max(content.rfind(digit) for digit in (b"1", b"2", b"3"))
    return content[:place] + b"7" + content[place + 1 :]


DAMAGE = {"emptied": lambda content: b"", "cut off": cut, "changed": flip, "with more": lambda content: content * 2}
WORDS = {"emptied": "is empty", "cut off": "is not what was written", "changed": "is not what was written",
         "with more": "is not what was written", "lost": "is missing"}  # fmt: skip


def spoil(path, kind):
    if kind == "lost":
        path.unlink()
    else:
        path.write_bytes(DAMAGE[kind](path.read_bytes()))


@pytest.mark.parametrize("kind", [*DAMAGE, "lost"])
@pytest.mark.parametrize("name", ["shard-0000000-end", f"{VIDEO}000000", f"{VIDEO}000001", f"{VIDEO}end"])
def test_what_is_damaged_is_found(done, tmp_path, kind, name):
    out, records, begin = done
    place = tmp_path / "out"
    shutil.copytree(out, place)
    path = place / f"{name}.{records}"
    spoil(path, kind)
    with pytest.raises(DataError, match=rf"{path.name} {WORDS[kind]}: start the job again"):
        list(read_records(place))
    job = begin(place)
    assert job.find_damaged()[path] == WORDS[kind]
    assert [shard.number for shard in job.find_remaining()] == [int(name[6:13])]


@pytest.mark.parametrize("kind", ["emptied", "lost"])
def test_what_is_damaged_is_done_again_and_nothing_else(done, tmp_path, kind):
    out, records, begin = done
    place = tmp_path / "out"
    shutil.copytree(out, place)
    expected, path = list(read_records(place)), place / f"{VIDEO}000001.{records}"
    spoil(path, kind)
    before = {each.name: each.stat().st_mtime_ns for each in place.glob("shard-*") if VIDEO not in each.name}
    before[f"{VIDEO}000000.{records}"] = (place / f"{VIDEO}000000.{records}").stat().st_mtime_ns
    assert [report.number for report in run_job(begin(place))] == [1]
    assert list(read_records(place)) == expected
    assert before.items() <= {each.name: each.stat().st_mtime_ns for each in place.glob("shard-*")}.items()
    assert begin(place).find_remaining() == []


def test_the_command_says_it(tiny_file, folder, tmp_path, capsys):  # noqa: F811
    images = tmp_path / "images.txt"
    images.write_text("".join(f"{folder / str(number)}.png\n" for number in (0, 1, 2)))
    command = ("predict", tiny_file, images, "--records", "jsonl", "--shard-size", 2, "--out", tmp_path / "out")
    command += ("--score-thr", SCORE_THR, "--threads", 1)
    assert run_command(capsys, *command)[0] == 0
    before = list(read_records(tmp_path / "out"))
    (tmp_path / "out/shard-0000001-end.jsonl").write_bytes(b"")
    code, _, err = run_command(capsys, *command)
    assert code == 0
    assert "shard-0000001-end.jsonl is empty: its shard is done again\n1 of 2 shards are to do" in err
    assert list(read_records(tmp_path / "out")) == before


@pytest.mark.parametrize("kind", ["emptied", "cut off", "with more"])
def test_jobs_of_former_versions_have_no_checks_and_are_judged_by_their_content(done, tmp_path, kind):
    out, records, begin = done
    place = tmp_path / "out"
    shutil.copytree(out, place)
    shutil.rmtree(place / "checks")
    assert begin(place).find_remaining() == []
    assert list(read_records(place)) == list(read_records(out))
    path = place / f"shard-0000000-end.{records}"
    spoil(path, kind)
    if (records, kind) == ("parquet", "with more"):
        return  # Parquet is read from its end: what stands before changes nothing
    assert [shard.number for shard in begin(place).find_remaining()] == [0]


@pytest.mark.parametrize("content", [b"{", b'{"image": "a"', b"[" * 100_000 + b"\n", b"3\n", b"\xff\n", b"{}"])
def test_an_invalid_line_is_reported_in_one_sentence(tmp_path, content):
    path = tmp_path / "shard-0000000-end.jsonl"
    path.write_bytes(b"{}\n" + content)
    with pytest.raises(DataError, match=r"is damaged \(line 2 of .* is not a whole record\): start the job again"):
        list(read_records(tmp_path))


def test_two_that_write_one_shard_may_both_be_right(tmp_path):
    """Their numbers may differ in the last digit: the file is the last one's, and its check is there as well."""
    (tmp_path / "running").mkdir()
    files = ShardFiles(tmp_path, 0, "jsonl")
    for score in (0.5, 0.25):
        files.write([{"image": "a", "score": score}], is_end=True)
    assert [record["score"] for record in read_records(tmp_path)] == [0.25]
    files.end.write_text(json.dumps({"image": "a", "score": 0.5}) + "\n")
    assert [record["score"] for record in read_records(tmp_path)] == [0.5]
    assert list((tmp_path / "running").iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"3", b"[" * 100_000, b"\xff", b'{"id": 3}'])
def test_a_damaged_description_of_a_job_is_one_sentence(done, tmp_path, content):
    out, _, begin = done
    place = tmp_path / "out"
    shutil.copytree(out, place)
    job = begin(place)
    (place / "job.json").write_bytes(content)
    with pytest.raises(DataError, match=r"job\.json is damaged or of another version"):
        begin(place)
    (place / f"shard-0000000-end.{job.plan.format}").unlink()
    with pytest.raises(StoppedError):
        list(run_job(job))


@pytest.mark.parametrize("name", ["shard-0000000-000000", "shard-0000009-end"])
def test_copies_among_the_records_are_no_records(done, tmp_path, name):
    out, records, begin = done
    place = tmp_path / "out"
    shutil.copytree(out, place)
    copy = place / f"{name}.{records}"
    shutil.copy(place / f"shard-0000000-end.{records}", copy)
    with pytest.raises(DataError, match=rf"{copy.name} was not written by the job"):
        list(read_records(place))
    job = begin(place)
    list(run_job(job))
    assert not copy.exists()
    assert list(read_records(place)) == list(read_records(out))
