"""Convert COCO files to other formats and back, and lose nothing on the way.

What the other format cannot hold stands in a side file beside it (``coco_side.json``); what COCO
cannot hold stands in the COCO file under the other format's name.  Both are patches (see
``patches``): on the way back they return to what they belong to, and edits win.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rtmo_plugin.errors import ConfigError, DataError, MissingFileError
from rtmo_plugin.files import read_json, write_json
from rtmo_plugin.labels.categories import is_bone
from rtmo_plugin.labels.files import Coco, read_coco, write_coco
from rtmo_plugin.labels.formats import FORMATS, Format
from rtmo_plugin.labels.patches import apply_patch, find_patch
from rtmo_plugin.labels.pictures import read_size
from rtmo_plugin.labels.report import describe_contents
from rtmo_plugin.labels.tree import Sizes, from_tree, list_schema, list_sizes, to_tree

_ABOUT = "What the format beside this file cannot hold; rtmo_plugin's dataset.py convert puts it back."
Side = dict[str, Any]


def convert_file(
    source: str | Path,
    out: str | Path,
    source_format: str = "coco",
    target_format: str = "coco",
    *,
    images: str | Path | None = None,
    keypoints: list[str] | None = None,
    skeleton: list[str] | None = None,
    split: str = "train",
) -> bool:
    """Convert labels to or from COCO, and print what was written.

    Args:
        source: COCO file, CVAT file, LabelMe folder, or YOLO folder or its data.yaml.
        out: Of the same sorts; must not be there yet.
        source_format: ``"coco"`` or a key of ``FORMATS``.
        target_format: Likewise; one of the two is ``"coco"``.
        images: Folder of the images of a YOLO folder, where they are not where its data.yaml says.
        keypoints: Names of the keypoints, for formats that do not tell them or their order.
        skeleton: Bones as ``'head,neck'``, which no format but COCO tells.
        split: Of a YOLO folder.

    Returns:
        True: it is whole.

    Raises:
        ConfigError: Neither or both formats are COCO.
        MissingFileError: The source is not there.
        DataError: It cannot be read or held, or ``out`` is there already.
    """
    if (source_format == "coco") == (target_format == "coco"):
        raise ConfigError("One side of a conversion is COCO, and only one: for other ways convert twice.")
    path, target = Path(source), Path(out)
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise DataError(f"{target} is there already: name another place, nothing is overwritten.")
    if target_format == "coco":
        coco = connect(convert_to_coco(path, source_format, images, keypoints, split), skeleton or [])
        write_coco(target, coco)
    else:
        coco = read_coco(path)
        convert_from_coco(coco, target, target_format, split)
    print(f"{target}: {describe_contents(coco)}")
    return True


def connect(coco: Coco, skeleton: list[str]) -> Coco:
    """Return a COCO file whose categories have the bones ``skeleton``; none leave it as it is.

    Raises:
        DataError: A bone is not two names of a category, with a comma between.
    """
    if not skeleton:
        return coco
    categories = []
    for category in coco["categories"]:
        names = category["keypoints"]
        ends = [[names.index(end) + 1 if end in names else 0 for end in bone.split(",")] for bone in skeleton]
        wrong = [bone for bone, pair in zip(skeleton, ends) if not is_bone(pair, len(names))]
        if wrong:
            raise DataError(
                f"--skeleton {wrong[0]}: two of {', '.join(names)} are needed, such as {','.join(names[:2])}."
            )
        categories.append({**category, "skeleton": ends})
    return {**coco, "categories": categories}


def convert_from_coco(coco: Coco, out: Path, name: str, split: str = "train") -> None:
    """Write a COCO file in another format, with its side file.

    Raises:
        DataError: The format cannot hold it, and not even a side file helps.
    """
    form, held = FORMATS[name], coco.get(name, {})
    if not coco["images"]:
        raise DataError("The file has no images, so there is nothing to convert.")
    tree = to_tree({key: value for key, value in coco.items() if key != name})
    documents = apply_patch(form.encode(tree, {"split": split, **held.get("hint", {})}), held.get("patch"))
    schema, sizes = list_schema(tree), list_sizes(tree)
    patch = find_patch(form.decode(documents, schema, sizes), tree)
    form.write(out, split, documents)
    side = {"about": _ABOUT, "schema": schema, "sizes": sizes, "patch": patch}
    write_json(form.side_name(out), side)


def convert_to_coco(
    source: Path,
    name: str,
    images: str | Path | None = None,
    keypoints: list[str] | None = None,
    split: str = "train",
) -> Coco:
    """Return labels in another format as a COCO file.

    Raises:
        MissingFileError: The source is not there.
        DataError: It cannot be read; the message names the place.
    """
    form = FORMATS[name]
    documents, side = form.read(source, split), _read_side(form.side_name(source))
    schema = form.find_schema(documents, keypoints, side.get("schema", {}))
    sizes = _find_sizes(form, source, images, split, side)
    tree = apply_patch(form.decode(documents, schema, sizes), side.get("patch"))
    coco = from_tree(tree)
    hint = form.find_hint(documents)
    # As it will be read again: what JSON makes of it is what the patch must fit.
    again = form.encode(to_tree(json.loads(json.dumps(coco))), {"split": split, **hint})
    patch = find_patch(again, documents, form.align)
    return coco if patch is None and not hint else {**coco, name: {"hint": hint, "patch": patch}}


def _read_side(path: Path) -> Side:
    """Return a side file, or nothing where there is none."""
    if not path.exists():
        return {}
    side = read_json(path)
    if not isinstance(side, dict) or not {"schema", "sizes", "patch"} <= side.keys():
        raise DataError(f"{path} is not a side file of a conversion: remove or restore it.")
    return side


def _find_sizes(form: Format, source: Path, images: str | Path | None, split: str, side: Side) -> Sizes:
    """Return the size of each image: of the pictures where they are, else as the side file says."""
    sizes = {name: (width, height) for name, (width, height) in side.get("sizes", {}).items()}
    folder = Path(images) if images else None
    if folder and not folder.is_dir():
        raise MissingFileError(f"There is no image folder {folder}.")
    if not form.find_pictures:
        return sizes
    read = {name: read_size(path) for name, path in form.find_pictures(source, split, folder).items()}
    return {**sizes, **{name: size for name, size in read.items() if size is not None}}
