"""Label files that the libraries of the labeling tools write, and not this package: read without loss.

The libraries are those of requirements/labels.txt.
"""

import numpy as np
import pytest

from rtmo_plugin.files import write_json
from rtmo_plugin.labels.conversion import convert_to_coco
from rtmo_plugin.labels.format_detection import detect_format
from rtmo_plugin.labels.label_set import ReadOptions

POINTS = np.array([[30.5, 10.25], [20, 20], [np.nan, np.nan]])
OTHERS = np.array([[11.25, 12], [13, 14], [15, 16]])
KEYPOINTS = [[30.5, 10.25, 2, 20, 20, 2, 0, 0, 0], [11.25, 12, 2, 13, 14, 2, 15, 16, 2]]


def read(path, **options):
    """Return the COCO file of a label file, and its people by image."""
    coco, _ = convert_to_coco(path, detect_format(path), ReadOptions(**options))
    files = {image["id"]: image["file_name"] for image in coco["images"]}
    people = {file: [] for file in files.values()}
    for each in coco["annotations"]:
        people[files[each["image_id"]]].append(each["keypoints"])
    return coco, people


def import_library(name, package):
    return pytest.importorskip(name, reason=f"{package} is not installed: requirements/labels.txt says how")


def test_sleap(tmp_path, pictures):
    sleap_io = import_library("sleap_io", "sleap-io")
    bones = [("nose", "left_paw"), ("nose", "right_paw")]
    skeleton = sleap_io.Skeleton(nodes=["nose", "left_paw", "right_paw"], edges=bones, name="mouse")
    skeleton.add_symmetry("left_paw", "right_paw")
    first, second = (sleap_io.Instance.from_numpy(points, skeleton=skeleton) for points in (POINTS, OTHERS))
    second.points["visible"][1] = False
    predicted = sleap_io.PredictedInstance.from_numpy(OTHERS, skeleton=skeleton, point_scores=np.ones(3), score=0.5)
    video = sleap_io.Video(filename="clips/a.mp4", open_backend=False, backend_metadata={"shape": (9, 48, 64, 3)})
    images = sleap_io.load_video([str(pictures / "1.jpg"), str(pictures / "2.jpg")])
    frames = [
        sleap_io.LabeledFrame(video=video, frame_idx=7, instances=[first, predicted]),
        sleap_io.LabeledFrame(video=images, frame_idx=1, instances=[first, second]),
    ]
    sleap_io.Labels(frames).save(str(pictures / "labels.slp"))
    coco, people = read(pictures / "labels.slp")
    hidden = [*KEYPOINTS[1][:5], 1, *KEYPOINTS[1][6:]]
    assert people == {"a_000007.png": [KEYPOINTS[0]], "2.jpg": [KEYPOINTS[0], hidden]}
    assert [(image["width"], image["height"]) for image in coco["images"]] == [(64, 48), (48, 64)]
    assert coco["categories"][0]["keypoints"] == ["nose", "left_paw", "right_paw"]
    assert coco["categories"][0]["skeleton"] == [[1, 2], [1, 3]]
    assert coco["categories"][0]["flip_pairs"] == [["left_paw", "right_paw"]]


@pytest.mark.parametrize("form", ["csv", "fixed", "table"])
@pytest.mark.parametrize("individuals", [["m1", "m2"], None])
def test_deeplabcut(pictures, form, individuals):
    pandas = import_library("pandas", "pandas")
    import_library("tables", "tables")
    import_library("h5py", "h5py")
    parts, levels = ["nose", "left_paw", "right_paw"], ["scorer", "individuals", "bodyparts", "coords"]
    factors = [["me"], individuals, parts, ["x", "y"]]
    if individuals is None:
        del factors[1], levels[1]
    columns = pandas.MultiIndex.from_product(factors, names=levels)
    files = [("labeled-data", "v", f"{number}.jpg") for number in (1, 2)]
    index = pandas.MultiIndex.from_tuples(files) if form == "fixed" else ["/".join(parts) for parts in files]
    numbers = [POINTS, OTHERS] if individuals else [POINTS]
    row = np.concatenate([each.ravel() for each in numbers])
    frame = pandas.DataFrame([row, row * np.nan], index=index, columns=columns)
    path = pictures / f"CollectedData_me.{'csv' if form == 'csv' else 'h5'}"
    if form == "csv":
        frame.to_csv(path)
    else:
        frame.to_hdf(path, key="df_with_missing", mode="w", format=form)
    coco, people = read(path)
    assert people == {"1.jpg": KEYPOINTS[: len(numbers)], "2.jpg": []}
    assert coco["categories"][0]["keypoints"] == parts


def test_a_table_that_names_a_function_is_refused(pictures):
    h5py = import_library("h5py", "h5py")
    with h5py.File(pictures / "CollectedData_me.h5", "w") as file:
        group = file.create_group("df_with_missing")
        group.attrs["pandas_type"] = np.bytes_(b"frame_table")
        group["table"] = np.zeros(1, [("index", "S5"), ("values_block_0", "<f8", (2,))])
        group["table"].attrs["values_block_0_kind"] = np.bytes_(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(ValueError, match=r"cannot be read as a table of pandas: it names os\.system"):
        read(pictures / "CollectedData_me.h5")


def test_label_studio(pictures):
    interface = import_library("label_studio_sdk.label_interface", "label-studio-sdk")
    objects = import_library("label_studio_sdk.label_interface.objects", "label-studio-sdk")
    tags = "".join(f'<Label value="{name}"/>' for name in ("nose", "left_paw", "right_paw"))
    view = interface.LabelInterface(
        '<View><Image name="image" value="$image"/><RectangleLabels name="box" toName="image"><Label value="mouse"/>'
        f'</RectangleLabels><KeyPointLabels name="part" toName="image">{tags}</KeyPointLabels></View>'
    )
    regions, relations = [], []
    for place, points in zip(((0, 0, 100, 100), (10, 20, 30, 40)), (POINTS, OTHERS)):
        x, y, width, height = place
        box = view.get_control("box").label("mouse", x=x, y=y, width=width, height=height, rotation=0)
        regions.append(box)
        for name, (px, py) in zip(("nose", "left_paw", "right_paw"), points):
            if not np.isnan(px):
                point = view.get_control("part").label(name, x=px / 64 * 100, y=py / 48 * 100)
                point.add_relation(box)
                regions.append(point)
                relations += point._dict_relations()
    annotation = objects.AnnotationValue(completed_by=1, result=[*regions, *relations]).model_dump()
    task = {"id": 5, "data": {"image": "/data/upload/1/0123abcd-1.jpg"}, "annotations": [annotation]}
    coco, people = read(write_json(pictures / "export.json", [task]), images=pictures)
    assert list(people) == ["1.jpg"]
    np.testing.assert_allclose(people["1.jpg"], KEYPOINTS, atol=1e-9)
    np.testing.assert_allclose([each["bbox"] for each in coco["annotations"]], [[0, 0, 64, 48], [6.4, 9.6, 19.2, 19.2]])


def test_datumaro(tmp_path):
    datumaro = import_library("datumaro", "datumaro")
    parts = import_library("datumaro.components.annotation", "datumaro")
    names = ["nose", "left_paw", "right_paw"]
    categories = {
        parts.AnnotationType.label: parts.LabelCategories.from_iterable(["mouse", "tree"]),
        parts.AnnotationType.points: parts.PointsCategories.from_iterable([(0, names, {(1, 2), (1, 3)})]),
    }
    annotations = [
        parts.Points(np.nan_to_num(POINTS).ravel().tolist(), [2, 2, 0], label=0, group=1, id=1),
        parts.Bbox(1, 2, 40, 30, label=0, group=1, id=2),
        parts.Points(OTHERS.ravel().tolist(), [2, 2, 2], label=0, id=3),
        parts.Bbox(1, 2, 3, 4, label=1, id=4),
    ]
    media = datumaro.Image.from_numpy(np.zeros((48, 64, 3), np.uint8))
    item = datumaro.DatasetItem(id="a/one", subset="train", media=media, annotations=annotations)
    datumaro.Dataset.from_iterable([item], categories=categories).export(str(tmp_path), "datumaro", save_media=False)
    coco, people = read(tmp_path / "annotations/train.json")
    assert people == {"a/one": [[30.5, 10.25, 2, 20, 20, 2, 0, 0, 0], [11.25, 12, 2, 13, 14, 2, 15, 16, 2]]}
    assert coco["annotations"][0]["bbox"] == [1, 2, 40, 30]
    assert (coco["images"][0]["width"], coco["images"][0]["height"]) == (64, 48)
    assert coco["categories"][0]["skeleton"] == [[1, 2], [1, 3]]


def test_cvat(tmp_path):
    """CVAT's XML of Datumaro: points with names, and boxes with the same group; CVAT's own packages write no files."""
    datumaro = import_library("datumaro", "datumaro")
    parts = import_library("datumaro.components.annotation", "datumaro")
    labels = ["mouse", "nose", "left_paw", "right_paw"]
    categories = {parts.AnnotationType.label: parts.LabelCategories.from_iterable(labels)}
    annotations = []
    for group, (box, points) in enumerate([((10, 5.25, 30, 20), POINTS), ((1, 2, 40, 30), OTHERS)], start=1):
        annotations += [
            parts.Points(point.tolist(), label=label, group=group, attributes={"occluded": group == 2 and label == 3})
            for label, point in enumerate(points, start=1)
            if not np.isnan(point).any()
        ]
        annotations.append(parts.Bbox(*box, label=0, group=group))
    media = datumaro.Image.from_numpy(np.zeros((48, 64, 3), np.uint8))
    items = [
        datumaro.DatasetItem(id="a/one", subset="train", media=media, annotations=annotations),
        datumaro.DatasetItem(id="a/two", subset="train", media=media),
    ]
    datumaro.Dataset.from_iterable(items, categories=categories).export(str(tmp_path), "cvat", save_media=False)
    assert detect_format(tmp_path / "train.xml") == "cvat"
    coco, people = read(tmp_path / "train.xml")
    assert people == {"a/one.jpg": [KEYPOINTS[0], [*KEYPOINTS[1][:8], 1]], "a/two.jpg": []}
    assert [each["bbox"] for each in coco["annotations"]] == [[10, 5.25, 30, 20], [1, 2, 40, 30]]
    assert [(image["width"], image["height"]) for image in coco["images"]] == [(64, 48)] * 2
    assert [(each["name"], each["keypoints"]) for each in coco["categories"]] == [("mouse", labels[1:])]


def test_supervisely(tmp_path):
    supervisely = import_library("supervisely", "supervisely")
    graph = import_library("supervisely.geometry.graph", "supervisely")
    template, names = graph.KeypointsTemplate(), ["nose", "left_paw", "right_paw"]
    for row, name in enumerate(names):
        template.add_point(label=name, row=10 * row, col=5)
    template.add_edge(src="nose", dst="left_paw")
    mouse = supervisely.ObjClass("mouse", graph.GraphNodes, geometry_config=template)
    labels = []
    for points, disabled in ((POINTS, True), (OTHERS, False)):
        nodes = [
            graph.Node(label=name, row=int(y), col=int(x), disabled=disabled and name == "left_paw")
            for name, (x, y) in zip(names, points)
            if not np.isnan(x)
        ]
        labels.append(supervisely.Label(graph.GraphNodes(nodes), mouse))
    project = supervisely.Project(str(tmp_path / "project"), supervisely.OpenMode.CREATE)
    project.set_meta(supervisely.ProjectMeta(obj_classes=[mouse]))
    pixels = np.zeros((48, 64, 3), np.uint8)
    annotation = supervisely.Annotation(img_size=(48, 64), labels=labels)
    project.create_dataset("mice").add_item_np("1.png", pixels, ann=annotation)
    coco, people = read(tmp_path / "project")
    whole = [[30, 10, 2, 0, 0, 0, 0, 0, 0], [11, 12, 2, 13, 14, 2, 15, 16, 2]]  # its pixels are whole numbers
    assert people == {"mice/img/1.png": whole}
    assert [(image["width"], image["height"]) for image in coco["images"]] == [(64, 48)]
    assert coco["categories"][0]["keypoints"] == names
    assert coco["categories"][0]["skeleton"] == [[1, 2]]
