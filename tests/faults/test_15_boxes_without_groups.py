"""CVAT: a box around a skeleton without a common group is not a second person."""

import pytest

from rtmo_plugin.labels.conversion import convert_to_coco

LABELS = "".join(
    f"<label><name>{name}</name><type>{kind}</type>{parent}</label>"
    for name, kind, parent in (
        ("person", "skeleton", ""), ("a", "points", "<parent>person</parent>"),
        ("b", "points", "<parent>person</parent>"), ("person box", "rectangle", ""),
    )
)  # fmt: skip


def draw(x, y, group=""):
    points = "".join(
        f'<points label="{name}" outside="0" occluded="0" points="{x + step:.2f},{y + step:.2f}"/>'
        for name, step in (("a", 0), ("b", 20))
    )
    return f'<skeleton label="person" source="manual" z_order="0"{group}>{points}</skeleton>'


def box(x1, y1, x2, y2, group=""):
    return f'<box label="person box" occluded="0" xtl="{x1}" ytl="{y1}" xbr="{x2}" ybr="{y2}" z_order="0"{group}/>'


@pytest.mark.parametrize(
    ("shapes", "boxes", "num_loose"),
    [
        (draw(50, 50) + box(40, 40, 90, 90), [[40, 40, 50, 50]], 1),
        (box(140, 40, 190, 90) + box(40, 40, 90, 90) + draw(50, 50) + draw(150, 50),
         [[40, 40, 50, 50], [140, 40, 50, 50]], 2),
        (draw(50, 50) + box(60, 60, 90, 90), [[50, 50, 20, 20], [60, 60, 30, 30]], 0),  # holds one point only
        (draw(50, 50) + draw(60, 55) + box(40, 40, 99, 99),  # of which of the two?
         [[50, 50, 20, 20], [60, 55, 20, 20], [40, 40, 59, 59]], 0),
        (draw(50, 50) + box(40, 40, 90, 90, ' group_id="3"'), [[50, 50, 20, 20], [40, 40, 50, 50]], 0),
        (draw(50, 50, ' group_id="3"') + box(40, 40, 90, 90), [[50, 50, 20, 20], [40, 40, 50, 50]], 0),
    ],
)  # fmt: skip
def test_box_without_a_group(tmp_path, shapes, boxes, num_loose):
    file = tmp_path / "annotations.xml"
    image = f'<image id="0" name="a.jpg" width="320" height="240">{shapes}</image>'
    file.write_text(f"<annotations><meta><task><labels>{LABELS}</labels></task></meta>{image}</annotations>")
    coco, notes = convert_to_coco(file, "cvat")
    assert [person["bbox"] for person in coco["annotations"]] == boxes
    words = f"Boxes without a group, taken for the skeleton in them: {num_loose}."
    assert (words in notes) == bool(num_loose)
    assert not any("Left out" in note for note in notes)
