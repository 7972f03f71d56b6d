"""File names of the plots of images and videos, or of other files with one each, chosen and checked before any work.

The plot of an image has the name of the image; the plot of a frame has the name of the video and the number of
the frame. No two plots share a name, also on file systems that ignore case, and no plot overwrites an input, by
whatever path, pattern or link.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterable
from pathlib import Path

from rtmo_plugin.files import MAX_NAME_BYTES, check_outputs
from rtmo_plugin.media.frames import Frame
from rtmo_plugin.media.image_headers import SUFFIXES
from rtmo_plugin.media.single_images import is_web
from rtmo_plugin.media.sources import SourceKind, find_kind

_NUMBER = "_{:06d}"
_MAX_NUMBER = "_999999999"


class PlotPlan:
    """File names of the plots of some sources, all in one folder.

    Args:
        folder: Output folder; it need not exist yet.
        sources: Images, videos, addresses and camera numbers; folders and patterns already listed as their files.
        inputs: Other files that must stay as they are, such as the model.
        suffix: End of all file names. Default: the suffix of an image if it can be written, else ``.png`` is added;
            ``.jpg`` for frames.

    Raises:
        OutputError: A plot would overwrite an input or cannot be written.
    """

    def __init__(
        self,
        folder: str | Path,
        sources: Iterable[str | int | Path],
        *,
        inputs: Iterable[str | Path] = (),
        suffix: str | None = None,
    ) -> None:
        self._folder = Path(folder)
        self._suffix = suffix
        self._frame_suffix = suffix or ".jpg"
        self._numbered = re.compile(rf"(.*)_\d{{6,}}{re.escape(self._frame_suffix)}", re.IGNORECASE | re.DOTALL)
        room = len(os.fsencode(_MAX_NUMBER + self._frame_suffix))  # bytes reserved for the number and suffix of a frame
        self._images: dict[str, str] = {}
        self._videos: dict[str, str] = {}
        taken: dict[str, int] = {}  # names and beginnings of names
        kinds = {source: find_kind(source) for source in sources}
        addresses = {each for each in kinds if kinds[each] is SourceKind.IMAGE and is_web(str(each)) and not suffix}
        for source, kind in kinds.items():  # sources with names of their own come first
            if kind is SourceKind.IMAGE and source not in addresses:
                self._add_image(source, taken)
        if addresses:
            self._videos |= dict.fromkeys(map(str, addresses), _find_free("image", "_", taken, room)[:-1])
        for source, kind in kinds.items():
            if kind is not SourceKind.IMAGE:
                name = str(source)
                is_camera = name.isdecimal() and not os.path.exists(name)
                stem = "image" if is_camera or "://" in name else Path(name).stem
                key = f"camera {name}" if is_camera else _make_key(source)
                self._videos[key] = _find_free(stem, "_", taken, room)[:-1]
        files = [path for path in (*self._images, *self._videos) if os.path.exists(path)]
        outputs = [self._folder / name for name in self._images.values()] + self._list_old_frames()
        check_outputs(outputs, [*files, *inputs])

    def choose_path(self, frame: Frame) -> Path:
        """Return the path of the plot of an image or frame of the sources."""
        key = _make_key(frame.name if frame.path is None else frame.path)
        if key in self._images:
            return self._folder / self._images[key]
        return self._folder / f"{self._videos[key]}{_NUMBER.format(frame.index)}{self._frame_suffix}"

    def _add_image(self, source: str | int | Path, taken: dict[str, int]) -> None:
        path = Path(str(source))
        if _make_key(source) in self._images:  # given twice, or under two spellings of its path
            return
        if self._suffix is not None:
            name = _find_free(path.stem, self._suffix, taken)
        elif path.suffix.lower() in SUFFIXES:
            name = _find_free(path.stem, path.suffix, taken)
        else:
            name = _find_free(path.name, ".png", taken)
        self._images[_make_key(source)] = name
        if numbered := self._numbered.fullmatch(name):
            taken.setdefault(f"{numbered[1]}_".casefold(), 2)

    def _list_old_frames(self) -> list[Path]:
        """Return the files in the folder that plots of the videos may overwrite."""
        stems = set(self._videos.values())
        names = os.listdir(self._folder) if stems and self._folder.is_dir() else []
        return [
            self._folder / name
            for name in names
            if (found := self._numbered.fullmatch(name)) and found[1] in stems and name not in self._images.values()
        ]


def _make_key(source: str | int | Path) -> str:
    return str(source) if "://" in str(source) else str(Path(str(source)))


def _find_free(stem: str, suffix: str, taken: dict[str, int], room: int = 0) -> str:
    """Return a free name that is not too long, and take it; a taken name gets ``_2``, ``_3`` and so on.

    Args:
        stem: Beginning of the name.
        suffix: End of the name.
        taken: Taken names in lower case, each with the number to try next; the new name is added.
        room: Number of bytes to reserve for a later suffix.
    """
    for number in itertools.count(taken.get((stem + suffix).casefold(), 1)):
        end = suffix if number == 1 else f"_{number}{suffix}"
        cut = stem
        while len(os.fsencode(cut + end)) + room > MAX_NAME_BYTES:
            cut = cut[:-1]
        name = cut + end
        if name.casefold() not in taken:
            break
    taken[name.casefold()] = 2
    taken[(stem + suffix).casefold()] = number + 1
    return name
