"""``dataset.py check`` as a user runs it: the report, the copy, the exit codes, one sentence for a broken file."""

import ast
import json
import math
import re
import subprocess
import sys

import pytest

from rtmo_plugin.labels import fix_coco, read_coco
from tests.conftest import ROOT
from tests.labels.conftest import make_person, make_set
from tests.labels.make_large import make_coco
from tests.tools.test_tools import run_in_process


@pytest.fixture
def file(coco, tmp_path):
    path = tmp_path / "people.json"
    path.write_text(json.dumps(coco))
    return path


@pytest.fixture
def bad_file(coco, tmp_path):
    """Return a file with seven people whose image is not there, and one with NaN."""
    coco["annotations"] += [make_person(10 + i, 9) for i in range(7)] + [make_person(20, 100, bbox=[1, 2, math.nan, 4])]
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(coco))
    return path


def test_clean_file(file, pictures, capsys):
    code, out, err = run_in_process(capsys, "dataset", "check", file, "--images", pictures)
    contents = "3 images, 3 annotations, 2 categories: walker (5 keypoints), dancer (5 keypoints)"
    assert (code, out, err) == (0, f"{file}: {contents}\nNothing is wrong with it.\n", "")


def test_findings_with_counts_and_examples(bad_file, capsys):
    code, out, _ = run_in_process(capsys, "dataset", "check", bad_file, "--examples", 2)
    assert code == 1
    assert out.splitlines()[2:] == [
        "7 annotations of an image that is not in the file  [unknown-image]",
        "    annotation 10 (image 9): image_id is 9",
        "    annotation 11 (image 9): image_id is 9",
        "    ... and 5 more",
        "",
        "1 annotation whose box is missing, NaN, infinite or not four numbers  [box-number]",
        "    annotation 20 (image 100): bbox is [1, 2, nan, 4]",
    ]


def test_fix_writes_a_clean_copy_and_says_what_it_did(bad_file, tmp_path, capsys):
    before, out_file = bad_file.read_bytes(), tmp_path / "made/clean.json"
    code, out, _ = run_in_process(capsys, "dataset", "check", bad_file, "--fix", out_file)
    assert code == 0
    assert bad_file.read_bytes() == before
    assert [path.name for path in out_file.parent.iterdir()] == ["clean.json"]
    assert out.splitlines()[-3:] == [
        f"{out_file}: 3 images, 4 annotations, 2 categories: walker (5 keypoints), dancer (5 keypoints)",
        "  7 annotations of an image that is not in the file: dropped  [unknown-image]",
        "  1 annotation whose box is missing, NaN, infinite or not four numbers: drew it around the labeled "
        "keypoints, or dropped those without any  [box-number]",
    ]
    assert read_coco(out_file) == fix_coco(read_coco(bad_file)).coco
    assert run_in_process(capsys, "dataset", "check", out_file)[0] == 0


def test_fix_of_a_clean_file_is_the_same_file(file, tmp_path, capsys):
    code, out, _ = run_in_process(capsys, "dataset", "check", file, "--fix", tmp_path / "copy.json")
    assert code == 0
    assert out.endswith("nothing to change\n")
    assert read_coco(tmp_path / "copy.json") == make_set()


def test_what_is_left_is_said_and_exit_code_1(coco, file, tmp_path, capsys):
    coco["categories"][1]["id"] = 7
    coco["annotations"][1].update(category_id=7, bbox=[17, 8, 25, 38])
    file.write_text(json.dumps(coco))
    code, out, _ = run_in_process(capsys, "dataset", "check", file, "--fix", tmp_path / "copy.json")
    assert code == 1
    assert out.endswith("1 category with the id of another one that differs: left to you  [category-conflict]\n")


@pytest.mark.parametrize("link", ["same", "relative", "symlink", "hard link"])
def test_fix_never_writes_over_the_original(bad_file, tmp_path, capsys, link):
    before, other = bad_file.read_bytes(), tmp_path / "other.json"
    if link == "symlink":
        other.symlink_to(bad_file)
    elif link == "hard link":
        other.hardlink_to(bad_file)
    else:
        other = bad_file if link == "same" else bad_file.parent / ".." / bad_file.parent.name / bad_file.name
    code, _, err = run_in_process(capsys, "dataset", "check", bad_file, "--fix", other)
    assert code == 2
    assert err == f"error: --fix {other} is the file that is checked, which is never changed: name another file.\n"
    assert bad_file.read_bytes() == before


UNREADABLE = {
    "empty": (b"", "is not valid JSON: line 1, column 1 (character 0 of 0): Expecting value; it seems to be cut off"),
    "cut": (
        b'{"images": [\n{"id": 1}, {"i',
        "line 2, column 13 (character 25 of 27): Unterminated string starting at; it",
    ),
    "cut after comma": (b'{"images": [], ', "of 15): "),
    "broken": (b'{"images": [1 2]}', "line 1, column 15 (character 14 of 17): Expecting ',' delimiter."),
    "bytes": (b'{"images": "\xff\xfe"}', "is not text in UTF-8: byte 12 is 0xff."),
    "list": (b"[1]", "is not a COCO file: it holds a list, not an object with lists."),
    "other": (b'{"images": [], "annotations": {}}', "has no list 'annotations' and no list 'categories'."),
    "deep": (b"[" * 200_000, "is nested too deeply."),
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_what_cannot_be_read_is_one_sentence_with_the_place(tmp_path, capsys, kind):
    content, words = UNREADABLE[kind]
    path = tmp_path / "people.json"
    path.write_bytes(content)
    code, out, err = run_in_process(capsys, "dataset", "check", path)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {path} ")
    assert words in err
    assert err.count("\n") == 1


def test_missing_file_and_folder(file, tmp_path, capsys):
    assert (
        run_in_process(capsys, "dataset", "check", tmp_path)[2]
        == f"error: {tmp_path} is a folder, not a regular file; only regular files are read.\n"
    )
    code, _, err = run_in_process(capsys, "dataset", "check", tmp_path / "none.json")
    assert (code, err) == (2, f"error: The file {tmp_path / 'none.json'} does not exist.\n")
    code, _, err = run_in_process(capsys, "dataset", "check", file, "--images", tmp_path / "none")
    assert code == 2
    assert err.startswith(f"error: The image folder {tmp_path / 'none'} does not exist")


def test_it_needs_neither_torch_nor_openmmlab(file):
    program = "import sys; import rtmo_plugin.labels.check_tool as w; w.check_file(sys.argv[1]); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program, str(file)], capture_output=True, text=True, check=False)
    assert {"torch", "mmengine", "mmpose", "mmcv"}.isdisjoint(done.stdout.split()), done.stderr
    assert "rtmo_plugin.labels.check_tool" in done.stdout.split()


# A process of its own, because a child begins with the memory of its parent on the meter.
METER = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(code, used.ru_utime + used.ru_stime, used.ru_maxrss)
"""


@pytest.mark.slow
def test_file_of_cocos_size_takes_under_20_seconds_and_2_gigabytes(tmp_path):
    path = tmp_path / "large.json"
    path.write_text(json.dumps(make_coco(118_000, 262_000)))
    command = [sys.executable, "-c", METER, sys.executable, str(ROOT / "tools/dataset.py"), "check", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    code, seconds, kilobytes = done.stdout.split()
    assert code == "0", done.stderr
    assert float(seconds) < 20  # on the processor, which does not depend on what else the machine does
    assert int(kilobytes) < 2_000_000


def test_what_it_imports_comes_with_the_package():
    """Without the extra `train`, which brings torch."""
    shared = [ROOT / "rtmo_plugin" / name for name in ("files.py", "media/image_headers.py", "progress_bar.py")]
    files = [ROOT / "tools/dataset.py", *shared, *(ROOT / "rtmo_plugin/labels").glob("*.py")]
    nodes = [node for file in files for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))]
    imported = {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    imported |= {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    others = {name.split(".")[0] for name in imported} - sys.stdlib_module_names - {"environment", "rtmo_plugin"}
    (declared,) = re.findall(r"^dependencies = \[(.*)\]", (ROOT / "pyproject.toml").read_text(), re.M)
    names = {"PIL": "pillow", "yaml": "pyyaml"}
    assert others == {"PIL", "numpy", "tqdm", "yaml"}
    assert all(f'"{names.get(name, name)}' in declared for name in others)
