"""CVAT's own exports: names, order and bones of the keypoints are those of the labels."""

import html

import pytest

from rtmo_plugin.labels import check_coco
from rtmo_plugin.labels.conversion import convert_to_coco
from tests.faults.cvat_files import declare, draw, export, image, skeleton

NAMES = ["nose", "left eye", "right eye"]
BONES = [(2, 1), (1, 3)]
LABELS = declare("person", NAMES, draw(NAMES, BONES))
FULL = [("right eye", 30, 31), ("nose", 10, 11), ("left eye", 20, 21, 1)]
KEYPOINTS = [10, 11, 2, 20, 21, 1, 30, 31, 2]


def read(tmp_path, text):
    path = tmp_path / "annotations.xml"
    path.write_text(text)
    coco, notes = convert_to_coco(path, "cvat")
    assert set(check_coco(coco)) <= {"category-differs"}
    return coco, notes


@pytest.mark.parametrize("unit", ["task", "job", "project"])
def test_names_order_and_bones_are_those_of_the_labels(tmp_path, unit):
    coco, notes = read(tmp_path, export(LABELS, image("a.jpg", skeleton("person", FULL)), unit=unit))
    assert coco["categories"] == [{"id": 1, "name": "person", "keypoints": NAMES, "skeleton": [[2, 1], [1, 3]]}]
    assert coco["annotations"][0]["keypoints"] == KEYPOINTS
    assert notes == []


def test_a_shorter_first_skeleton_is_a_person_with_fewer_labeled_keypoints(tmp_path):
    first, second = image("a.jpg", skeleton("person", FULL[:1])), image("b.jpg", skeleton("person", FULL))
    coco, _ = read(tmp_path, export(LABELS, first, second))
    assert [person["keypoints"] for person in coco["annotations"]] == [[0] * 6 + [30, 31, 2], KEYPOINTS]
    assert [person["num_keypoints"] for person in coco["annotations"]] == [1, 3]
    coco, _ = read(tmp_path, export("", first, second))  # no labels: the longest skeleton tells the order
    assert coco["categories"][0]["keypoints"] == ["right eye", "nose", "left eye"]


def test_labels_in_any_order_of_several_skeletons(tmp_path):
    ball = declare("ball", ["center"])
    tail, head = LABELS[: LABELS.index("<label><name>nose")], LABELS[LABELS.index("<label><name>nose") :]
    shapes = [skeleton("ball", [("center", 5, 6)]), skeleton("person", FULL)]
    coco, _ = read(tmp_path, export(head + ball + tail, image("a.jpg", *shapes)))
    assert {entry["name"]: entry["keypoints"] for entry in coco["categories"]} == {"person": NAMES, "ball": ["center"]}
    assert [len(person["keypoints"]) for person in coco["annotations"]] == [3, 9]


@pytest.mark.parametrize(
    "svg",
    [
        draw(NAMES, [*BONES, (1, 2)]),  # one bone twice, in both directions
        draw(NAMES, BONES, label="data-label-id").replace("</circle>", ""),  # nodes without names follow the labels
        draw(list(reversed(NAMES)), [(2, 3), (3, 1)]),  # nodes that are numbered in another order than the labels
        f"<g>{draw(NAMES, BONES)}</g><line data-node-from='1' data-node-to='9'/>",  # a bone that leads nowhere
    ],
)
def test_bones_of_drawings(tmp_path, svg):
    coco, _ = read(tmp_path, export(declare("person", NAMES, svg), image("a.jpg", skeleton("person", FULL))))
    assert {frozenset(bone) for bone in coco["categories"][0]["skeleton"]} == {frozenset({1, 2}), frozenset({1, 3})}


def test_a_drawing_as_elements(tmp_path):
    svg = draw(NAMES, BONES)
    text = export(declare("person", NAMES, svg), image("a.jpg", skeleton("person", FULL)))
    coco, _ = read(tmp_path, text.replace(html.escape(svg, quote=False), svg))
    assert coco["categories"][0]["skeleton"] == [[2, 1], [1, 3]]


def test_what_a_skeleton_may_hold_besides_points(tmp_path):
    """Attributes of the skeleton and of its points, points outside, and other shapes beside it."""
    shape = skeleton("person", [*FULL[:2], ("left eye", 20, 21, 0, 1)]).replace(
        "</skeleton>", '<attribute name="team">red</attribute></skeleton>'
    )
    others = (
        '<points label="wheel" source="manual" occluded="0" points="1,2;3,4" z_order="5"></points>'
        '<tag label="good" source="manual"></tag><mask label="car" rle="3" left="7" top="8" width="1" height="1"/>'
    )
    coco, notes = read(tmp_path, export(LABELS, image("a.jpg", shape, others)))
    assert coco["annotations"][0]["keypoints"] == [10, 11, 2, 0, 0, 0, 30, 31, 2]
    assert notes == ["Left out, as COCO keypoints cannot hold them: 1 attribute, 1 mask, 1 points, 1 tag."]


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ('<box label="outline" xtl="1" ytl="2" xbr="101" ybr="202" occluded="0" group_id="3"></box>', [1, 2, 100, 200]),
        (
            '<box label="outline" xtl="40" ytl="90" xbr="160" ybr="110" rotation="90.0" group_id="3"></box>',
            [90, 40, 20, 120],
        ),
        ('<box label="outline" xtl="1" ytl="2" xbr="101" ybr="202" group_id="4"></box>', [10, 11, 20, 20]),
    ],
)
def test_the_box_of_a_group_is_the_persons(tmp_path, box, expected):
    coco, _ = read(tmp_path, export(LABELS, image("a.jpg", skeleton("person", FULL, group_id=3), box)))
    assert [person["bbox"] for person in coco["annotations"]] == [pytest.approx(expected)]


@pytest.mark.parametrize(
    ("points", "words"),
    [
        ([*FULL, ("tail", 1, 2)], r"image 'a\.jpg': 'tail' is not a keypoint of 'person'"),
        ([*FULL, ("nose", 1, 2)], r"image 'a\.jpg': a skeleton 'person' has the point 'nose' twice"),
        ([("nose", 1, "2;3,4")], r"image 'a\.jpg': a point is '1,2;3,4', not two numbers"),
    ],
)
def test_points_that_nothing_explains_are_refused(tmp_path, points, words):
    with pytest.raises(ValueError, match=words):
        read(tmp_path, export(LABELS, image("a.jpg", skeleton("person", points))))
