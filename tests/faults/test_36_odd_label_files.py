"""Deep and odd JSON, XML and YAML in label files: one sentence, in a moment, without eating the memory."""

import json
import os
import resource
import subprocess
import sys
from zipfile import ZipFile

import pytest

from rtmo_plugin.errors import DataError
from rtmo_plugin.labels.checking import check_coco
from rtmo_plugin.labels.fixing import fix_coco
from rtmo_plugin.labels.label_set import from_coco
from tests.conftest import ROOT
from tests.faults.cvat_files import declare, export, image, skeleton
from tests.labels.conftest import make_category, make_person, make_set
from tests.tools.test_tools import run_in_process

BALL = declare("ball", ["center"])
PERSON = skeleton("ball", [("center", 10, 20)])
DATA = "names: [ball]\nkpt_shape: [1, 3]\ntrain: images\n"
DEEP = 100_000


def nest(opened, closed, depth=DEEP):
    return opened * depth + closed * depth


BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{new}: &{new} [{','.join([f'*{old}'] * 10)}]\n" for old, new in zip("abcdefgh", "bcdefghi")
)
YAML = {
    "an alias bomb": f"{BOMB}names: *i\nkpt_shape: [1, 3]\n",
    "deep": f"{DATA}flip_idx: {nest('[', ']', 5000)}\n",
    "an invalid date": f"{DATA}made: 2020-99-99\n",
    "a tag that builds objects": f"{DATA}x: !!python/object/apply:os.system [exit]\n",
    "a tag on the wrong value": f"{DATA}x: !!timestamp word\n",
    "control characters": f"{DATA}x: a\x01b\n",
    "a list": "[1, 2]",
    "nothing": "",
    "names that are a number": "names: 3\nkpt_shape: [1, 3]\n",
    "names that are lists": "names: [[a], [b]]\nkpt_shape: [1, 3]\n",
    "names by other numbers": "names: {1: a, x: b}\nkpt_shape: [1, 3]\n",
    "a shape of words": "names: [a]\nkpt_shape: [one, 3]\n",
    "a huge shape": f"names: [a]\nkpt_shape: [{'9' * 5000}, 3]\n",
    "a split that is a map": "names: [a]\nkpt_shape: [1, 3]\ntrain: {a: b}\n",
    "flips that are words": f"{DATA}flip_idx: word\n",
    "flips that are huge": f"{DATA}flip_idx: [{'9' * 5000}]\n",
    "keypoints that are maps": f"{DATA}kpt_names: [{{a: b}}]\n",
    "keypoints of two names": f"{DATA}kpt_names: [a, b]\n",
}
FINE = ("an invalid date", "a tag that builds objects", "a tag on the wrong value", "keypoints that are maps")


@pytest.mark.parametrize("kind", YAML)
def test_yaml(tmp_path, capsys, kind):
    """Scalars are text, so odd ones that are not needed do no harm; what is needed is checked."""
    (tmp_path / "yolo/labels").mkdir(parents=True)
    (tmp_path / "yolo/data.yaml").write_text(YAML[kind])
    code, _, err = run_in_process(
        capsys, "dataset", "convert", tmp_path / "yolo", tmp_path / "out.json", "--from", "yolo"
    )
    assert (code, err.count("\n")) == ((1, 0) if kind in FINE else (2, 1)), err
    assert len(err) < 600


def test_an_alias_bomb_does_not_eat_the_memory(tmp_path):
    """In a process with 4 GB of address space."""
    (tmp_path / "labels").mkdir()
    (tmp_path / "data.yaml").write_text(YAML["an alias bomb"])
    command = [sys.executable, "-m", "rtmo_plugin", "dataset", "convert", tmp_path, tmp_path / "o", "--from", "yolo"]
    limit = 4 * 1024**3
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, cwd=ROOT, timeout=300, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},  # each thread takes address space
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: {tmp_path / 'data.yaml'} is not YAML at line 2: aliases (*name) are not read.\n"


XML = {
    "deep": f"<annotations>{nest('<a>', '</a>')}</annotations>",
    "deep beside images": export(BALL, image("a.jpg", PERSON), nest("<a>", "</a>")),
    "deep labels": export(nest("<label>", "</label>", 5000), image("a.jpg", PERSON)),
    "entities": '<!DOCTYPE x [<!ENTITY a "aaaa">]><annotations/>',
    "an unknown entity": export(BALL, image("&a;", PERSON)),
    "another encoding": export(BALL, image("é.jpg", PERSON)).replace("utf-8", "latin-1"),
    "no images": "<annotations><version>1.1</version></annotations>",
    "a track of a video": '<annotations><track id="0" label="ball"></track></annotations>',
    "a size in words": export(BALL, image("a.jpg", PERSON)).replace('"640"', '"wide"'),
    "a negative size": export(BALL, image("a.jpg", PERSON)).replace('"640"', '"-640"'),
    "a huge size": export(BALL, image("a.jpg", PERSON)).replace('"640"', f'"{"9" * 5000}"'),
    "a point in no image": export(BALL, image("a.jpg", PERSON)).replace("10,20", "1e300,20"),
    "a size in fractions": export(BALL, image("a.jpg", PERSON)).replace('"640"', '"640.5"'),
    "an infinite point": export(BALL, image("a.jpg", PERSON)).replace("10,20", "inf,20"),
    "no points": export(BALL, image("a.jpg", PERSON)).replace('points="10,20"', ""),
    "a group in words": export(BALL, image("a.jpg", PERSON)).replace("<skeleton ", '<skeleton group_id="x" '),
    "an unknown skeleton": export(BALL, image("a.jpg", PERSON)).replace('<skeleton label="ball"', "<skeleton "),
    "an invalid drawing": export(declare("ball", ["center"], "<![ <line <circle data-node-id"), image("a", PERSON)),
}
FINE_XML = ("deep beside images", "another encoding", "an invalid drawing", "deep labels")


@pytest.mark.parametrize("kind", XML)
def test_xml(tmp_path, capsys, kind):
    (tmp_path / "a.xml").write_text(XML[kind])
    code, _, err = run_in_process(
        capsys, "dataset", "convert", tmp_path / "a.xml", tmp_path / "out.json", "--from", "cvat"
    )
    assert (code, err.count("\n")) == ((0, 0) if kind in FINE_XML else (2, 1)), err
    assert len(err) < 600


FAR = [1e200, 1, 2] * 5
JSON = {
    "deep": nest("[", "]"),
    "deep objects": nest('{"a":', "}"),
    "a long number": f'{{"images": [{"9" * 5000}], "annotations": [], "categories": []}}',
    "a number beyond float": '{"images": [{"id": 1, "file_name": "a", "width": 1e999, "height": 1}], "annotations": [],'
    ' "categories": []}',
    "values that are not lists": '{"images": {}, "annotations": 3, "categories": null}',
    "entries that are not objects": '{"images": [3, null, "x"], "annotations": [[]], "categories": [{}]}',
    "half a character": json.dumps({"images": [{"id": 1, "file_name": "\ud800", "width": 9, "height": 9}],
                                    "annotations": [], "categories": [{"id": 1, "name": "a", "keypoints": ["b"]}]}),
    "UTF-16": "\ufeff[]",
    "a box in no image": json.dumps({**make_set(), "annotations": [make_person(1, 100, bbox=[1e300] * 4)]}),
    "a keypoint in no image": json.dumps({**make_set(), "annotations": [make_person(1, 100, keypoints=FAR)]}),
    "a category without a name": json.dumps({**make_set(), "annotations": [], "categories": [make_category(7, "")]}),
}  # fmt: skip


@pytest.mark.parametrize("name", ["yolo", "labelme", "cvat"])
@pytest.mark.parametrize("kind", JSON)
def test_json(tmp_path, capsys, kind, name):
    content = JSON[kind].encode("utf-16" if kind == "UTF-16" else "utf-8")
    (tmp_path / "a.json").write_bytes(content)
    code, _, err = run_in_process(capsys, "dataset", "convert", tmp_path / "a.json", tmp_path / "out", "--to", name)
    assert (code, err.count("\n")) == (2, 1), err
    assert len(err) < 600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json"]


@pytest.mark.parametrize("what", ["a folder", "nothing", "a binary file", "an empty file", "an archive"])
@pytest.mark.parametrize("name", ["yolo", "labelme", "cvat"])
def test_sources_that_are_no_labels(tmp_path, capsys, what, name):
    source = tmp_path / "source"
    if what == "a folder":
        (source / "below").mkdir(parents=True)
    elif what == "a binary file":
        source.write_bytes(bytes(range(256)) * 10)
    elif what == "an empty file":
        source.touch()
    elif what == "an archive":
        with ZipFile(source, "w") as archive:
            archive.writestr("annotations.xml", "<annotations/>")
    else:
        source = tmp_path / "gone" / "source"
    code, _, err = run_in_process(capsys, "dataset", "convert", source, tmp_path / "out.json", "--from", name)
    assert (code, err.count("\n")) == (2, 1), err


@pytest.mark.parametrize(
    "change",
    [
        {"category_id": [1]}, {"category_id": {"a": 1}}, {"category_id": [1], "keypoints": None}, {"image_id": {}},
        {"keypoints": [1e308, 1e308, 2] * 2}, {"bbox": [1e308] * 4}, {"bbox": [10**400, 1, 2, 3]},
    ],
)  # fmt: skip
@pytest.mark.parametrize("width", [100, 10**400, 10**30])
def test_values_of_no_sense_are_findings(change, width):
    person = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 50, 50], "keypoints": [9, 9, 2, 20, 20, 2]}
    coco = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": width, "height": 100}],
        "annotations": [{**person, "num_keypoints": 2, **change}],
        "categories": [{"id": 1, "name": "x", "keypoints": ["a", "b"]}],
    }
    assert check_coco(coco)
    assert fix_coco(coco).changes or fix_coco(coco).remaining
    with pytest.raises(DataError):
        from_coco(coco).complete_boxes()
