"""Files of labeling tools, in the form that each tool writes: people, boxes and keypoints with their values."""

import json
import re
import sys

import pytest

from rtmo_plugin.files import write_json
from rtmo_plugin.labels.conversion import convert_to_coco
from rtmo_plugin.labels.format_detection import detect_format
from rtmo_plugin.labels.label_set import ReadOptions
from tests.tools.test_tools import run_in_process


def read(source, name, **options):
    """Return people by image (category, box, keypoints), keypoint names by category, and notes."""
    assert detect_format(source) == name
    coco, notes = convert_to_coco(source, name, ReadOptions(**options))
    files = {image["id"]: image["file_name"] for image in coco["images"]}
    categories = {category["id"]: category["name"] for category in coco["categories"]}
    people = {file: [] for file in files.values()}
    for each in coco["annotations"]:
        people[files[each["image_id"]]].append((categories[each["category_id"]], each["bbox"], each["keypoints"]))
    return people, {each["name"]: each["keypoints"] for each in coco["categories"]}, notes


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(value, str):
        path.write_text(value, encoding="utf-8")
    else:
        write_json(path, value)
    return path


def make_region(number, kind, value, **fields):
    common = {"original_width": 200, "original_height": 100, "image_rotation": 0}
    return {"id": str(number), "type": kind, "value": value, "from_name": "x", "to_name": "image", **common, **fields}


def make_point(number, name, x, y, **fields):
    return make_region(number, "keypointlabels", {"x": x, "y": y, "width": 0.4, "keypointlabels": [name]}, **fields)


def make_box(number, x, y, width, height, rotation=0):
    value = {"x": x, "y": y, "width": width, "height": height, "rotation": rotation, "rectanglelabels": ["walker"]}
    return make_region(number, "rectanglelabels", value)


def make_task(number, result, image="/data/upload/1/8f6b2c1a-a%20b.jpg", **fields):
    annotation = {"id": number, "was_cancelled": False, "result": result, **fields}
    return {"id": number, "data": {"image": image}, "annotations": [annotation], "predictions": []}


def test_label_studio_parents_relations_and_places(tmp_path):
    result = [
        make_point("p", "head", 10, 20, parentID="box", image_rotation=90),
        make_box("box", 5, 10, 20, 50),
        make_box("other", 50, 10, 20, 50),
        make_point("q", "tail", 90, 90),
        {"type": "relation", "from_id": "q", "to_id": "other", "direction": "right"},
        make_point("r", "tail", 10, 30),
        {**make_region("r", "choices", {"choices": ["occluded"]}), "from_name": "visibility"},
        make_region("s", "brushlabels", {}),
    ]
    skipped = {**make_task(2, []), "annotations": [{"result": [], "was_cancelled": True}]}
    path = write(tmp_path / "export.json", [make_task(1, result), skipped])
    people, names, notes = read(path, "label-studio")
    assert people == {
        "a b.jpg": [
            ("walker", [10, 10, 40, 50], [20, 20, 2, 20, 30, 1]),
            ("walker", [100, 10, 40, 50], [0, 0, 0, 180, 90, 2]),
        ]
    }
    assert names == {"walker": ["head", "tail"]}
    assert notes == [
        "Tasks without a submitted annotation, left out: 1.",
        "Points without a group, taken for the box that holds them: 1.",
        "Left out, as COCO keypoints cannot hold them: 1 brushlabels.",
    ]


def test_label_studio_rotated_boxes_turn_around_their_corner(tmp_path):
    path = write(tmp_path / "export.json", [make_task(1, [make_box("b", 50, 20, 20, 10, rotation=90)])])
    (person,) = read(path, "label-studio", keypoints=["head"])[0]["a b.jpg"]
    assert person[1] == [90, 20, 10, 40]


def test_label_studio_addresses_predictions_and_short_form(tmp_path):
    box = make_box("b", 10, 10, 10, 10)
    addresses = ["/data/local-files/?d=in/a%23.jpg", "s3://bucket/x/b.jpg", "http://host.example/c.jpg?w=1", "in/d.jpg"]
    tasks = [make_task(number, [box], address) for number, address in enumerate(addresses)]
    people, _, _ = read(write(tmp_path / "export.json", tasks), "label-studio", keypoints=["head"])
    assert list(people) == ["in/a#.jpg", "b.jpg", "c.jpg", "in/d.jpg"]
    predicted = {"id": 1, "data": {"image": "a.jpg"}, "predictions": [{"score": 0.5, "result": [box]}]}
    _, _, notes = read(write(tmp_path / "predicted.json", [predicted]), "label-studio", keypoints=["head"])
    assert notes == ["No task has an annotation, so the predictions of 1 tasks are read."]
    size = {"original_width": 200, "original_height": 100}
    short = {
        "id": 1, "image": "/data/upload/1/8f6b2c1a-a.jpg", "annotator": 1,
        "kp": [{"x": 10, "y": 20, "keypointlabels": ["head"], **size}],
        "box": [{"x": 5, "y": 10, "width": 20, "height": 50, "rotation": 0, "rectanglelabels": ["walker"], **size}],
    }  # fmt: skip
    people, _, _ = read(write(tmp_path / "short.json", [short]), "label-studio")
    assert people == {"a.jpg": [("walker", [10, 10, 40, 50], [20, 20, 2])]}


def test_images_without_regions_need_a_size(tmp_path, pictures):
    tasks = [make_task(1, [make_point("p", "head", 10, 20)], "9.jpg"), make_task(2, [], "1.jpg")]
    path = write(tmp_path / "export.json", tasks)
    people, _, notes = read(path, "label-studio")
    assert list(people) == ["9.jpg"]
    assert notes[0].endswith("left out (--images adds them): 1.")
    coco, _ = convert_to_coco(path, "label-studio", ReadOptions(images=pictures))
    assert [(image["file_name"], image["width"]) for image in coco["images"]] == [("9.jpg", 200), ("1.jpg", 64)]


def make_via(name, attributes, **numbers):
    return {"shape_attributes": {"name": name, **numbers}, "region_attributes": attributes}


VIA_REGIONS = [
    make_via("rect", {"class": "walker"}, x=10, y=5, width=20, height=30),
    make_via("rect", {"class": "walker"}, x=0, y=0, width=60, height=45),
    make_via("point", {"keypoint": "head"}, cx=15, cy=10),
    make_via("point", {"keypoint": {"head": True, "tail": False}}, cx=5, cy=40),
    make_via("point", {"keypoint": "tail", "occluded": "yes"}, cx=62, cy=47),
    make_via("circle", {}, cx=62, cy=47, r=1),
]
VIA_PEOPLE = {
    "1.jpg": [
        ("walker", [10, 5, 20, 30], [15, 10, 2, 0, 0, 0]),
        ("walker", [0, 0, 60, 45], [5, 40, 2, 62, 47, 1]),
    ],
    "2.jpg": [],
}
VIA_NOTES = [
    "Points without a group, taken for the box that holds them: 1.",
    "Points without a group in several boxes, taken for the smallest one: 1.",
    "Points without a group outside of all boxes, taken for the nearest one: 1.",
    "Left out, as COCO keypoints cannot hold them: 1 circle.",
]


def write_via(folder, kind):
    images = {
        f"{name}123": {"filename": name, "size": 123, "regions": regions, "file_attributes": {}}
        for name, regions in (("1.jpg", VIA_REGIONS), ("2.jpg", []))
    }
    if kind == "csv":
        lines = ["filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,region_attributes"]
        for number, region in enumerate(VIA_REGIONS):
            texts = [json.dumps(part).replace('"', '""') for part in region.values()]
            lines.append(f'1.jpg,123,"{{}}",6,{number},"{texts[0]}","{texts[1]}"')
        lines.append('2.jpg,123,"{}",0,0,"{}","{}"')
        return write(folder / "via.csv", "\n".join(lines))
    if kind == "first":
        images["1.jpg123"]["regions"] = {str(number): region for number, region in enumerate(VIA_REGIONS)}
    project = {"_via_settings": {}, "_via_img_metadata": images, "_via_attributes": {}}
    return write(folder / "via.json", project if kind == "project" else images)


@pytest.mark.parametrize("kind", ["project", "json", "csv", "first"])
def test_via(tmp_path, pictures, kind):
    people, names, notes = read(write_via(tmp_path, kind), "via", images=pictures)
    assert people == VIA_PEOPLE
    assert names == {"walker": ["head", "tail"]}
    assert notes == VIA_NOTES


def test_via_groups(tmp_path, pictures):
    regions = [
        make_via("point", {"name": name, "Person": person}, cx=x, cy=4)
        for x, name, person in ((1, "head", "b"), (2, "tail", "a"), (3, "head", "a"))
    ]
    path = write(pictures / "via.json", {"1.jpg1": {"filename": "1.jpg", "regions": regions}})
    people, names, notes = read(path, "via")
    assert [person[2] for person in people["1.jpg"]] == [[1, 4, 2, 0, 0, 0], [3, 4, 2, 2, 4, 2]]
    assert notes == ["Boxes without area, drawn around the keypoints with a margin: 2."]
    assert names == {"person": ["head", "tail"]}


DLC = """scorer,,,me,me,me,me,me,me,me,me,me,me
individuals,,,m1,m1,m1,m1,m2,m2,m2,m2,single,single
bodyparts,,,nose,nose,tail,tail,nose,nose,tail,tail,door,door
coords,,,x,y,x,y,x,y,x,y,x,y
labeled-data,v1,1.jpg,1.5,2,3,4,,,7,8,50,40
labeled-data,v1,2.jpg,,,,,,,,,,
"""


def test_deeplabcut(tmp_path, pictures):
    people, names, _ = read(write(pictures / "CollectedData_me.csv", DLC), "deeplabcut")
    assert people["2.jpg"] == []
    assert [(category, keypoints) for category, _, keypoints in people["1.jpg"]] == [
        ("animal", [1.5, 2, 2, 3, 4, 2]), ("animal", [0, 0, 0, 7, 8, 2]), ("single", [50, 40, 2]),
    ]  # fmt: skip
    assert names == {"animal": ["nose", "tail"], "single": ["door"]}
    old = "scorer,me,me\nbodyparts,nose,nose\ncoords,x,y\nlabeled-data/v1/1.jpg,1.5,2\n"
    project = write(tmp_path / "project/labeled-data/v1/CollectedData_me.csv", old).parents[2]
    (pictures / "1.jpg").rename(project / "labeled-data/v1/1.jpg")
    assert list(read(project, "deeplabcut")[0]) == ["labeled-data/v1/1.jpg"]


def test_supervisely(tmp_path):
    nodes = {"u1": {"label": "head", "loc": [1, 2]}, "u2": {"label": "tail", "loc": [3, 4]}}
    graph = {
        "title": "walker",
        "shape": "graph",
        "geometry_config": {"nodes": nodes, "edges": [{"src": "u1", "dst": "u2"}]},
    }
    write(tmp_path / "meta.json", {"classes": [graph, {"title": "leash", "shape": "point"}], "tags": []})
    figures = [
        {
            "geometryType": "graph",
            "classTitle": "walker",
            "nodes": {"u2": {"loc": [30.5, 40]}, "u1": {"loc": [10, 20]}},
        },
        {"geometryType": "graph", "classTitle": "walker", "nodes": {"u1": {"loc": [1, 2], "disabled": True}}},
        {"geometryType": "polygon", "classTitle": "tree", "points": {"exterior": [[1, 2]]}},
    ]
    write(tmp_path / "ds/ann/a.jpg.json", {"size": {"width": 64, "height": 48}, "objects": figures})
    people, names, notes = read(tmp_path, "supervisely")
    assert people == {"ds/img/a.jpg": [("walker", [10, 20, 20.5, 20], [10, 20, 2, 30.5, 40, 2])]}
    assert names == {"walker": ["head", "tail"]}
    assert "People left out, without a box and without a labeled keypoint: 1." in notes
    assert convert_to_coco(tmp_path, "supervisely")[0]["categories"][0]["skeleton"] == [[1, 2]]


def test_roboflow(tmp_path):
    own = {"id": 0, "name": "walker", "supercategory": "none"}
    walker = {"id": 1, "name": "walker", "supercategory": "walker", "keypoints": ["head", "tail"], "skeleton": [[1, 2]]}
    images = [
        {"id": number, "file_name": f"a_jpg.rf.{number}.jpg", "width": 64, "height": 48, "extra": {"name": "a.jpg"}}
        for number in range(2)
    ]
    person = {"id": 0, "image_id": 0, "category_id": 1, "bbox": [1, 2, 30, 40], "area": 1200, "iscrowd": 0}
    person |= {"keypoints": [5, 6, 2, 7, 8, 1], "num_keypoints": 2, "segmentation": []}
    write(
        tmp_path / "train/_annotations.coco.json",
        {"images": images, "annotations": [person], "categories": [own, walker]},
    )
    people, names, notes = read(tmp_path, "roboflow")
    assert people == {"a_jpg.rf.0.jpg": [("walker", [1, 2, 30, 40], [5, 6, 2, 7, 8, 1])], "a_jpg.rf.1.jpg": []}
    assert names == {"walker": ["head", "tail"]}
    assert notes[0].startswith("Augmented copies of the same photographs: 1 of 2 images.")


TRACKS = """<annotations><version>1.1</version><meta><task>
<original_size><width>64</width><height>48</height></original_size>
<labels><label><name>walker</name><type>skeleton</type></label>
<label><name>head</name><type>points</type><parent>walker</parent></label>
<label><name>tail</name><type>points</type><parent>walker</parent></label></labels></task></meta>
<track id="0" label="walker" group_id="3">
  <skeleton frame="2" keyframe="1">
    <points label="head" keyframe="1" outside="0" occluded="1" points="10,20"/>
    <points label="tail" keyframe="1" outside="0" occluded="0" points="30,40"/></skeleton>
  <skeleton frame="6" keyframe="1">
    <points label="head" keyframe="1" outside="0" occluded="0" points="14,24"/>
    <points label="tail" keyframe="1" outside="1" occluded="0" points="30,44"/></skeleton>
</track>
<track id="1" label="walker box" group_id="3">
  <box frame="2" keyframe="1" outside="0" occluded="0" xtl="0" ytl="10" xbr="40" ybr="48"/>
  <box frame="7" keyframe="1" outside="1" occluded="0" xtl="0" ytl="10" xbr="40" ybr="48"/>
</track>
</annotations>"""


def test_cvat_tracks(tmp_path):
    people, _, notes = read(write(tmp_path / "annotations.xml", TRACKS), "cvat")
    assert list(people) == [f"frame_{number:06d}.PNG" for number in range(2, 8)]
    assert people["frame_000002.PNG"] == [("walker", [0, 10, 40, 38], [10, 20, 1, 30, 40, 2])]
    assert people["frame_000003.PNG"] == [("walker", [0, 10, 40, 38], [11, 21, 1, 30, 40, 2])]
    assert people["frame_000006.PNG"] == [("walker", [0, 10, 40, 38], [14, 24, 2, 0, 0, 0])]
    ((_, _, keypoints),) = people["frame_000007.PNG"]  # without its box
    assert keypoints == [14, 24, 2, 0, 0, 0]
    assert notes[0].startswith("Frames of a video: 6, of which 3 have key frames.")


def test_cvat_points_without_skeletons(tmp_path):
    shapes = """<box label="walker" xtl="0" ytl="0" xbr="30" ybr="40"/>
      <points label="head" occluded="1" points="10,20"/><points label="tail" points="50,41" group_id="2"/>"""
    text = f'<annotations><image id="0" name="a.jpg" width="64" height="48">{shapes}</image></annotations>'
    people, names, _ = read(write(tmp_path / "annotations.xml", text), "cvat")
    assert [person[2] for person in people["a.jpg"]] == [[10, 20, 1, 0, 0, 0], [0, 0, 0, 50, 41, 2]]
    assert names == {"walker": ["head", "tail"]}


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.json", '[{"id": 1, "annotations": [{"result": []}]}]', r"task 1 has no image in its data"),
        ("a.json", '[{"id": 1, "annotations": []}]', r"has no task with an annotation or a prediction"),
        ("a.json", [make_task(1, [make_point("p", "", 1, 2)])], r"type keypointlabels needs one label"),
        ("a.json", [make_task(1, [make_point("p", "a", "1", 2)])], r"'a' needs finite numbers as x, y"),
        ("a.json", [make_task(1, [make_point("p", "a", 1e300, 2)])], r"coordinate 2e\+300, which is in no image"),
        ("a.json", [make_task(1, [make_point("p", "a", 1, 2, original_width=0)])], r"not two whole numbers above 0"),
        ("a.json", [make_task(1, []), make_task(2, [])], r"two tasks are of the image"),
        ("via.json", '{"a": {"filename": "1.jpg", "regions": 3}}', r"is not a file of VIA 1 or 2"),
        ("via.csv", "filename,region_shape_attributes\n", r"no column 'region_attributes'"),
        ("CollectedData_x.csv", "scorer,me\nbodyparts,a\ncoords,x\n", r"once as x and once as y"),
        ("x.csv", "scorer,me\nbodyparts,a\ncoords,likelihood\n", r"it holds predictions"),
        ("x.csv", "scorer,me,me\nbodyparts,a,a\ncoords,x,y\n1.jpg,1\n", r"line 4: 2 cells, but the first lines have 3"),
        ("x.csv", "scorer,me,me\nbodyparts,a,a\ncoords,x,y\n1.jpg,1,inf\n", r"line 4: a cell is inf, not a finite"),
        ("x.csv", "scorer,me,me\nbodyparts,a,a\ncoords,x,y\nno.jpg,1,2\n", r"image no\.jpg is not known.*--images"),
        ("a.zip", "PK\x03\x04", r"is a ZIP archive: unpack it"),
        ("meta.json", "[]", r"is not of Supervisely: it has no list 'classes'"),
        ("d.json", '{"dm_format_version": "1.0"}', r"is not in Datumaro's format"),
        (
            "t.xml",
            TRACKS.replace('frame="7"', 'frame="999999999"'),
            r"from frame 2 to 999,999,999, more than 1,000,000",
        ),
        ("t.xml", TRACKS.replace('frame="7"', 'frame="-7"'), r"a track has the frame '-7', not a whole number"),
        ("t.xml", TRACKS.replace("original_size", "size"), r"no <original_size>"),
        ("t.xml", TRACKS.replace("14,24", "14"), r"track '0': not two numbers"),
    ],
)
def test_bad_files_are_one_sentence_and_write_nothing(tmp_path, capsys, name, text, words):
    source = write(tmp_path / "in" / name, text)
    code, said, err = run_in_process(capsys, "dataset", "convert", source, tmp_path / "out.json")
    assert (code, said) == (2, "")
    assert err.count("\n") == 1
    assert re.search(words, err)
    assert not (tmp_path / "out.json").exists()


def test_the_format_is_found_and_said(tmp_path, pictures, capsys):
    source = write_via(tmp_path, "project")
    code, said, _ = run_in_process(capsys, "dataset", "convert", source, tmp_path / "out.json", "--images", pictures)
    assert code == 0
    assert said.splitlines()[1] == "  Format of via.json: VIA (--from via)."
    code, _, err = run_in_process(capsys, "dataset", "convert", tmp_path / "out.json", tmp_path / "x.json")
    assert (code, err.startswith(f"error: {tmp_path / 'out.json'} shows no other format than COCO")) == (2, True)


@pytest.mark.parametrize(("name", "package"), [("a.slp", "sleap_io"), ("CollectedData_me.h5", "h5py")])
def test_a_missing_package_is_one_sentence(tmp_path, monkeypatch, name, package):
    monkeypatch.setitem(sys.modules, package, None)
    source = write(tmp_path / name, "x")
    with pytest.raises(ImportError, match=r"needs the package .*: pip install .*\[labels\]"):
        convert_to_coco(source, detect_format(source))


def test_a_point_in_two_boxes_belongs_to_the_smaller_one(pictures):
    boxes = [make_via("rect", {}, x=0, y=0, width=size, height=size) for size in (40, 20)]
    regions = [*boxes, make_via("point", {"keypoint": "head"}, cx=10, cy=10)]
    path = write(pictures / "via.json", {"1.jpg1": {"filename": "1.jpg", "regions": regions}})
    people, _, _ = read(path, "via")
    assert [(person[1][2], person[2]) for person in people["1.jpg"]] == [(40, [0, 0, 0]), (20, [10, 10, 2])]
