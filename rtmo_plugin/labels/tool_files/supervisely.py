"""Supervisely: a project with meta.json, and for each image a JSON file in the folder ``ann`` beside ``img``.

A person is a figure ``graph``, whose class in meta.json names the nodes and bones; or points and rectangles of one
``instance``, named by their classes. A node that is ``disabled`` is not labeled.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from rtmo_plugin.errors import DataError, MissingFileError
from rtmo_plugin.files import read_json
from rtmo_plugin.labels.grouping import Shape, ShapedImage, gather_people
from rtmo_plugin.labels.json_values import are_numbers, read_whole
from rtmo_plugin.labels.label_set import (
    LabeledImage,
    LabelSet,
    Person,
    Point,
    ReadOptions,
    clean_name,
    describe_left_out,
)

META = "meta.json"
_NUM_CORNERS = {"point": 1, "rectangle": 2}


def read_supervisely(path: Path, options: ReadOptions) -> LabelSet:
    """Return the labels of a project: the folder with meta.json, or that file.

    Raises:
        MissingFileError: meta.json or the annotations do not exist.
        DataError: A file is malformed, or a figure does not fit its class.
    """
    folder = path if path.is_dir() else path.parent
    graphs = _read_graphs(folder / META)
    files = sorted(file for file in folder.rglob("*.json") if file.parent.name == "ann")
    if not files:
        raise MissingFileError(f"No annotation (ann/*.json) was found in {folder}.")
    documents = {}
    for file in files:  # ``a.jpg.json`` in ``ann`` is of ``a.jpg`` in ``img``
        inner = file.relative_to(folder)
        place = (inner.parent.parent / "img" / inner.name.removesuffix(".json")).as_posix()
        documents[place] = file, _read_document(file)
    if len(documents) < len(files):
        raise DataError(f"{folder}: two annotations are of one image: keep one of them.")
    unused: Counter[str] = Counter()
    shaped = {name: _read_shapes(file, document, graphs, unused) for name, (file, document) in documents.items()}
    has_shapes = any(image.shapes for image in shaped.values())
    labels = gather_people(shaped, options, "instance") if has_shapes or not graphs else LabelSet({}, {})
    categories = dict(labels.categories)
    for name, nodes in graphs.items():
        chosen = options.choose_keypoints(name, list(nodes["names"].values()))
        bones = [[nodes["names"][end] for end in bone] for bone in nodes["bones"]]
        pairs = [[chosen.index(end) + 1 for end in bone] for bone in bones if set(bone) <= set(chosen)]
        categories[name] = {"keypoints": chosen, **({"skeleton": pairs} if pairs else {})}
    images = {}
    for name, (file, document) in documents.items():
        figures = [figure for figure in document["objects"] if figure.get("geometryType") == "graph"]
        people = [_read_graph(figure, graphs, categories, file) for figure in figures]
        others = labels.images[name].people if name in labels.images else []
        images[name] = LabeledImage(*shaped[name].size_wh, [*people, *others])
    return replace(labels, categories=categories, images=images, notes=[*labels.notes, *describe_left_out(unused)])


def _read_graphs(meta: Path) -> dict[str, dict[str, Any]]:
    """Return node names by id, and bones, of the classes that are graphs."""
    data = read_json(meta)
    classes = data.get("classes") if isinstance(data, dict) else None
    if not isinstance(classes, list) or not all(isinstance(each, dict) for each in classes):
        raise DataError(f"{meta} is not of Supervisely: it has no list 'classes'.")
    graphs = {}
    for each in classes:
        if each.get("shape") != "graph":
            continue
        config = each.get("geometry_config")
        nodes, edges = (config.get(key) for key in ("nodes", "edges")) if isinstance(config, dict) else (None, None)
        if not isinstance(nodes, dict) or not isinstance(edges or [], list):
            raise DataError(f"{meta}: the class {each.get('title')!r} needs geometry_config with nodes and edges.")
        names = {
            key: clean_name(str(node.get("label") or key)) for key, node in nodes.items() if isinstance(node, dict)
        }
        bones = [(str(edge.get("src")), str(edge.get("dst"))) for edge in edges or [] if isinstance(edge, dict)]
        known = [bone for bone in bones if bone[0] in names and bone[1] in names and bone[0] != bone[1]]
        graphs[clean_name(str(each.get("title")))] = {"names": names, "bones": known}
    return graphs


def _read_document(file: Path) -> dict[str, Any]:
    document = read_json(file)
    size = document.get("size") if isinstance(document, dict) else None
    sides = [read_whole(size.get(key)) for key in ("width", "height")] if isinstance(size, dict) else [None]
    if any(side is None or not 0 < side < 10**9 for side in sides) or not isinstance(document.get("objects"), list):
        raise DataError(f"{file} is not an annotation of Supervisely: it needs size (width, height) and objects.")
    if not all(isinstance(each, dict) for each in document["objects"]):
        raise DataError(f"{file}: objects must be figures.")
    return {**document, "size": sides}


def _read_shapes(
    file: Path, document: dict[str, Any], graphs: dict[str, dict[str, Any]], unused: Counter[str]
) -> ShapedImage:
    """Return the points and rectangles of an annotation, and count its other figures but graphs."""
    shapes = []
    for figure in document["objects"]:
        kind = figure.get("geometryType")
        if kind not in _NUM_CORNERS:
            unused[str(kind)[:40]] += kind != "graph"
            continue
        held = figure.get("points")
        corners = held.get("exterior") if isinstance(held, dict) else None
        is_whole = isinstance(corners, list) and len(corners) == _NUM_CORNERS[kind]
        label = clean_name(str(figure.get("classTitle") or ""))
        if not label or not is_whole or not all(are_numbers(corner, 2) for corner in corners):  # type: ignore[union-attr]
            raise DataError(f"{file}: a {kind} needs classTitle and points of two finite numbers.")
        xs, ys = zip(*corners)  # type: ignore[misc]
        place = [xs[0], ys[0]] if kind == "point" else [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]
        shapes.append(Shape(label, place, figure.get("instance") or None))
    width, height = document["size"]
    return ShapedImage((width, height), shapes, str(file))


def _read_graph(
    figure: dict[str, Any], graphs: dict[str, dict[str, Any]], categories: dict[str, dict[str, Any]], file: Path
) -> Person:
    category, nodes = clean_name(str(figure.get("classTitle"))), figure.get("nodes")
    if category not in graphs or not isinstance(nodes, dict):
        raise DataError(f"{file}: the graph {category!r} needs nodes, and a class of its name in meta.json.")
    names = graphs[category]["names"]
    points: dict[str, Point] = {}
    for key, node in nodes.items():
        place = node.get("loc") if isinstance(node, dict) else None
        if key not in names or not are_numbers(place, 2):
            raise DataError(
                f"{file}: the node {key[:60]!r} of {category!r} is unknown or lacks two finite numbers as loc."
            )
        if not node.get("disabled"):
            points[names[key]] = place[0], place[1], 2  # type: ignore[index]
    return Person.from_points(
        category, None, [points.get(name, (0, 0, 0)) for name in categories[category]["keypoints"]]
    )
