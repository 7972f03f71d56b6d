"""Where a config finds its data: move all of it to another folder, and check that it is there."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

from mmengine.config import Config
from torch.utils.data import Dataset

from rtmo_plugin.config.sections import walk_sections
from rtmo_plugin.errors import ConfigError, DataError, MissingFileError

_FILE_KEYS = ("ann_file", "bbox_file")
_NUM_IMAGES_CHECKED = 100  # a look at each of 100,000 on a network drive would take minutes
_NUM_BYTES_CHECKED = 1024  # white space may stand around a document
_WHAT_TO_DO = "pass --data-root with the folder that holds the data"


def set_data_root(cfg: Config, data_root: str | Path | None) -> None:
    """Move all data of ``cfg`` to ``data_root``.

    Every ``data_root`` changes, in combined datasets and in the datasets of hooks as well, and with
    it the annotation files of evaluators, which name their path in full.

    Args:
        cfg: Config to edit; a ``data_root`` below the common one keeps its sub-folder.
        data_root: New folder. Default: everything stays as it is.

    Raises:
        ConfigError: The config reads no data from files, or from folders that have nothing in common.
    """
    if data_root is None:
        return
    old_root = _find_common_root(cfg)
    for section in walk_sections(cfg._cfg_dict):
        for key in ("data_root", *_FILE_KEYS):
            if not isinstance(section.get(key), str):
                continue
            path = Path(section[key])
            if key != "data_root" and _has_root(section) and not path.is_absolute():
                continue  # joined to the section's data_root, with which it moves
            moved = Path(data_root, path.relative_to(old_root)) if path.is_relative_to(old_root) else path
            section[key] = str(moved)


def _has_root(section: dict[str, Any]) -> bool:
    return isinstance(section.get("data_root"), str)


def _find_common_root(cfg: Config) -> Path:
    """Return the longest folder that every ``data_root`` of ``cfg`` begins with."""
    roots = sorted({section["data_root"] for section in walk_sections(cfg._cfg_dict) if _has_root(section)})
    if not roots:
        raise ConfigError("--data-root has nothing to change: no dataset of this config reads files.")
    levels = zip(*(Path(root).parts for root in roots))
    same = list(takewhile(lambda level: len(set(level)) == 1, levels))
    if not same and len(roots) > 1:
        raise ConfigError(f"--data-root cannot replace several roots ({', '.join(roots)}): use --cfg-options.")
    return Path(*(level[0] for level in same))


def check_data(cfg: Config, loaders: tuple[str, ...]) -> None:
    """Check that the annotation files and image folders of ``cfg`` exist, and that the files are whole.

    Args:
        cfg: Config to check.
        loaders: Names of the loaders that will be used: ``"train"``, ``"val"`` or ``"test"``.

    Raises:
        MissingFileError: Something is missing; the message names the first missing path.
        DataError: A JSON file does not begin and end as one: a download was cut short, or is a web page.
    """
    sections = [cfg.get(f"{loader}_{part}") for loader in loaders for part in ("dataloader", "evaluator")]
    if "train" in loaders:
        sections += [cfg.get("default_hooks"), cfg.get("custom_hooks")]  # the dataset of a later training stage
    for section in walk_sections(sections):
        for path, is_folder in _list_paths(section):
            if not (path.is_dir() if is_folder else path.is_file()):
                kind, reader = "image folder" if is_folder else "annotation file", section.get("type", "dataset")
                raise MissingFileError(
                    f"The {kind} {path} of {reader} does not exist: {_WHAT_TO_DO}, or correct the config."
                )
            if path.suffix == ".json" and not is_folder:
                _check_is_whole(path)


def check_images(dataset: Dataset[Any]) -> None:
    """Check that a data set that was read from files has images, and that a sample of them exists.

    Raises:
        DataError: It has no images.
        MissingFileError: An image of the sample does not exist.
    """
    for part in getattr(dataset, "datasets", [dataset]):  # of a combined data set
        if not getattr(part, "ann_file", None):
            continue
        if len(part) == 0:
            raise DataError(f"The annotation file {part.ann_file} holds no usable image.")
        for index in range(0, len(part), -(-len(part) // _NUM_IMAGES_CHECKED)):
            path = part.get_data_info(index).get("img_path")
            if path and not Path(path).is_file():
                raise MissingFileError(f"The image {path}, which {part.ann_file} lists, does not exist.")


def _list_paths(section: dict[str, Any]) -> Iterator[tuple[Path, bool]]:
    """Yield the paths that a dataset or evaluator reads, and whether each is a folder."""
    root = Path(section.get("data_root") or "")
    for key in _FILE_KEYS:
        if section.get(key):
            yield root / section[key], False
    if _has_root(section) and isinstance(section.get("data_prefix"), dict):
        yield from ((root / prefix, True) for prefix in section["data_prefix"].values())


def _check_is_whole(path: Path) -> None:
    with path.open("rb") as file:
        start = file.read(_NUM_BYTES_CHECKED).strip()
        file.seek(max(path.stat().st_size - _NUM_BYTES_CHECKED, 0))
        end = file.read().strip()
    if (start[:1], end[-1:]) not in ((b"{", b"}"), (b"[", b"]")):
        raise DataError(
            f"The annotation file {path} is not valid JSON: its download may be incomplete, so get it again."
        )
