"""YOLO pose folders as their makers lay them out: Ultralytics, Roboflow, CVAT, and by hand."""

import shutil

import pytest
import yaml

from rtmo_plugin.files import write_json
from rtmo_plugin.labels.conversion import convert_from_coco, convert_to_coco
from rtmo_plugin.labels.dataset_keypoints import read_dataset_keypoints
from rtmo_plugin.labels.label_set import ReadOptions
from tests.labels.conftest import NAMES
from tests.tools.test_tools import run_in_process

LINE = "0 0.5 0.5 0.25 0.5" + " 0.5 0.25 2" * 5 + "\n"
ULTRALYTICS = """
# Train/val/test sets as 1) dir: path/to/imgs, 2) file: path/to/imgs.txt, or 3) list: [path/to/imgs1, path/to/imgs2, ..]
path: coco8-pose # dataset root dir
train: images/train # train images (relative to 'path') 4 images
val: images/val # val images (relative to 'path') 4 images
test: # test images (optional)
kpt_shape: [5, 3] # number of keypoints, number of dims (2 for x,y or 3 for x,y,visible)
flip_idx: [0, 2, 1, 4, 3]
names:
  0: walker
kpt_names:
  0:
    - head
    - left_hand
    - right_hand
    - left_foot
    - right_foot
download: https://nowhere.example/coco8-pose.zip
"""
ROBOFLOW = """
train: ../train/images
val: ../valid/images
test: ../test/images

kpt_shape: [5, 3]
flip_idx: [0, 2, 1, 4, 3]

nc: 1
names: ['walker']

roboflow: {workspace: somebody, project: robots, version: 3}
"""
CVAT = "path: ./\ntrain: train.txt\nkpt_shape: [5, 3]\nnames: {0: walker}\n"
LAYOUTS = {  # data.yaml, split, folder of images, folder of labels, other files
    "Ultralytics": (ULTRALYTICS, "val", "images/val", "labels/val", {}),
    "Roboflow, train": (ROBOFLOW, "train", "train/images", "train/labels", {"README.roboflow.txt": "robots"}),
    "Roboflow, val": (ROBOFLOW, "val", "valid/images", "valid/labels", {}),
    "Roboflow, by its folder": (ROBOFLOW, "valid", "valid/images", "valid/labels", {}),
    "paths of another machine": (ROBOFLOW.replace("..", "/content"), "train", "train/images", "train/labels", {}),
    "a folder above": (ROBOFLOW.replace("../train/images", "train"), "train", "train/images", "train/labels", {}),
    "a list of images, as CVAT's": (
        CVAT, "train", "images/train", "labels/train", {"train.txt": "".join(f"images/train/{i}.jpg\n" for i in "123")},
    ),
    "no splits": (CVAT.replace("train.txt", "images"), "train", "images", "labels", {"labels/classes.txt": "walker"}),
    "side by side": (CVAT.replace("train.txt", "all"), "train", "all", "all", {"all/classes.txt": "walker"}),
}  # fmt: skip


def to_coco(source, **options):
    return convert_to_coco(source, "yolo", ReadOptions(**options))[0]


def write(folder, files):
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(tmp_path, pictures, layout):
    data, split, images, labels, others = LAYOUTS[layout]
    source = tmp_path / "yolo"
    shutil.copytree(pictures, source / images)
    write(source, {"data.yaml": data, f"{labels}/1.txt": LINE, f"{labels}/3.txt": LINE * 2, **others})
    coco = to_coco(source, keypoints=NAMES, split=split)
    assert [image["file_name"] for image in coco["images"]] == ["1.jpg", "2.jpg", "3.jpg"]
    assert [person["image_id"] for person in coco["annotations"]] == [1, 3, 3]
    assert coco["annotations"][0]["keypoints"] == [32, 12, 2] * 5  # of 64 x 48


@pytest.mark.parametrize("where", ["inside", "beside", "given"])
def test_a_yaml_file_of_another_name(tmp_path, pictures, where):
    folder = tmp_path / "coco8-pose"
    shutil.copytree(pictures, folder / "images/train")
    write(folder, {"labels/train/2.txt": LINE})
    write(tmp_path if where == "beside" else folder, {"coco8-pose.yaml": ULTRALYTICS})
    source = {"inside": folder, "beside": tmp_path, "given": folder / "coco8-pose.yaml"}[where]
    coco = to_coco(source)
    assert (len(coco["images"]), len(coco["annotations"])) == (3, 1)
    assert coco["categories"][0]["keypoints"] == NAMES
    assert "flip_pairs" not in coco["categories"][0]  # the names say it


@pytest.mark.parametrize("entry", ["part.txt", ["images/a", "images/b"]], ids=["a list of images", "a list of folders"])
def test_only_what_is_listed_is_read(tmp_path, pictures, entry):
    for part in "abc":
        shutil.copytree(pictures, tmp_path / "images" / part)
    data = {"train": entry, "names": ["walker"], "kpt_shape": [5, 3]}
    lines = {f"labels/{part}/1.txt": LINE for part in "abc"}
    write(tmp_path, {"data.yaml": yaml.safe_dump(data), "part.txt": "./images/a/1.jpg\n./images/b/2.jpg\n", **lines})
    coco = to_coco(tmp_path)
    names = [image["file_name"] for image in coco["images"]]
    assert (
        names == ["a/1.jpg", "b/2.jpg"] if entry == "part.txt" else [f"{part}/{n}.jpg" for part in "ab" for n in "123"]
    )
    assert len(coco["annotations"]) == (1 if entry == "part.txt" else 2)


def test_flips_that_the_names_do_not_tell_come_along(tmp_path, pictures):
    write(tmp_path, {"data.yaml": ROBOFLOW, "train/labels/1.txt": LINE})
    coco = to_coco(tmp_path, images=pictures)
    pairs = [["keypoint_1", "keypoint_2"], ["keypoint_3", "keypoint_4"]]
    assert coco["categories"][0]["flip_pairs"] == pairs
    convert_from_coco(coco, tmp_path / "back", "yolo")
    assert yaml.safe_load((tmp_path / "back/data.yaml").read_text())["flip_idx"] == [0, 2, 1, 4, 3]
    write_json(tmp_path / "people.json", coco)
    assert read_dataset_keypoints(tmp_path / "people.json").schema.flip_pairs == ((1, 2), (3, 4))


@pytest.mark.parametrize("kpt_names", [NAMES, [NAMES], {0: NAMES}], ids=["names", "a list a class", "by class"])
def test_keypoint_names(tmp_path, pictures, kpt_names):
    data = {**yaml.safe_load(ROBOFLOW), "kpt_names": kpt_names}
    write(tmp_path, {"data.yaml": yaml.safe_dump(data), "train/labels/1.txt": LINE})
    assert to_coco(tmp_path, images=pictures)["categories"][0]["keypoints"] == NAMES


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("[0, 2, 1, 4, 3]", "[0, 2, 1]", r"flip_idx in data\.yaml must hold each number from 0 to 4 once, not \[0, 2"),
        ("[0, 2, 1, 4, 3]", "[0, 2, 1, 4, a]", r"flip_idx in data\.yaml must hold each number from 0 to 4 once"),
        (
            "[0, 2, 1, 4, 3]",
            "[1, 2, 0, 3, 4]",
            r"flip_idx in data\.yaml takes keypoint 0 to 1, but 1 to 2: write pairs",
        ),
        ("../train/images", "train.txt", r"yolo/train\.txt lists no images"),
    ],
)
def test_bad_data_is_one_sentence(tmp_path, pictures, old, new, words):
    write(tmp_path / "yolo", {"data.yaml": ROBOFLOW.replace(old, new), "train/labels/1.txt": LINE, "train.txt": "\n"})
    with pytest.raises(ValueError, match=words):
        to_coco(tmp_path / "yolo", images=pictures)


def test_a_split_that_is_nowhere_names_the_places(tmp_path, capsys):
    write(tmp_path / "yolo", {"data.yaml": ROBOFLOW, "train/labels/1.txt": LINE})
    code, _, err = run_in_process(
        capsys, "dataset", "convert", tmp_path / "yolo", tmp_path / "x.json", "--from", "yolo", "--split", "val"
    )
    assert code == 2
    assert err.startswith("error: Labels of the split 'val' were not found (looked in ")
    assert str(tmp_path / "yolo/valid/labels") in err
    assert "name another, such as --split val" in err
