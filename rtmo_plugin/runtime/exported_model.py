"""An exported file as a function from images to people, for one image or a folder of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from rtmo_plugin.errors import ConfigError, DataError, MissingFileError
from rtmo_plugin.media.images import read_image
from rtmo_plugin.media.read_ahead import map_ahead
from rtmo_plugin.number_ranges import BATCH_SIZE, FRACTION
from rtmo_plugin.option_names import check_option_names
from rtmo_plugin.runtime.coordinate_decoder import CoordinateDecoder, CoordinateParameters, locate_parameters
from rtmo_plugin.runtime.decoding import Decoder, Outputs
from rtmo_plugin.runtime.detections import Detections
from rtmo_plugin.runtime.engines import open_engine
from rtmo_plugin.runtime.letterbox import Image, Letterbox, apply_letterbox, make_input
from rtmo_plugin.runtime.output_checks import check_arrays

_SIZE_DIVISOR = 32
_NUM_READERS = 2
_OPTIONS = ("score_thr", "size_wh", "calibrated", "runtime", "device", "threads", "precision", "streams", "trust")

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class ImageResult:
    """The people in an image file, or the reason why it could not be used."""

    path: Path
    people: Detections | None
    error: str | None = None


class ExportedModel:
    """An exported file, ready for images.

    Args:
        file: File written by ``rtmo export``, or one of MMDeploy's RTMO files.
        size_wh: Width and height of the input, for a file whose size is dynamic.
        score_thr: Score above which people are returned. Default: the file's own threshold.
        calibrated: Whether scores are the OKS to be expected, for a file that was exported with a calibration.
        **options: Options of ``open_engine``: ``runtime``, ``device``, ``threads``, ``precision``, ``streams``,
            ``trust``.

    Attributes:
        info: Metadata of the file.
        computes_in: Human-readable precision in which this machine computes the file.
        streams: Number of batches that it computes side by side.
        size_wh: Width and height of the input.

    Raises:
        UserError: The file, the size or an option is wrong.
    """

    def __init__(
        self,
        file: str | Path,
        *,
        size_wh: tuple[int, int] | None = None,
        score_thr: float | None = None,
        calibrated: bool = False,
        **options: Any,
    ) -> None:
        check_option_names("ExportedModel", options, _OPTIONS)
        if score_thr is not None:
            FRACTION.check("score_thr", score_thr)
        self._engine = open_engine(file, **options)
        self.info, self.computes_in, self.streams = self._engine.info, self._engine.computes_in, self._engine.streams
        self.size_wh = _choose_size(self.info.size_wh, size_wh, "size" in self.info.dynamic)
        coordinates = None
        if self.info.cut == "raw":
            coordinates = CoordinateDecoder(CoordinateParameters.load(locate_parameters(Path(file))))
        calibration = self.info.score_calibration if calibrated else None
        if calibrated and calibration is None:
            raise ConfigError(f"{file} holds no calibration of scores: export it with --calibration FILE.")
        self._decoder = Decoder(self.info, coordinates, score_thr, calibration)

    def predict(self, image: Image, name: str = "The image") -> Detections:
        """Return the people in ``image``, (height, width, 3) BGR, in its pixels.

        Raises:
            DataError: The image cannot be scaled to the input; the message calls it ``name``.
        """
        return self.predict_batch([image], [name])[0]

    def predict_batch(self, images: Sequence[Image], names: Sequence[str] | None = None) -> list[Detections]:
        """Return the people in each of some images, which may differ in size.

        Raises:
            DataError: One of them cannot be scaled to the input.
        """
        names = names or [f"Image {index}" for index in range(len(images))]
        rows = [_Prepared(Path(name), *self._prepare(image, name)) for image, name in zip(images, names)]
        return [result.people for result in self._finish((rows, self._compute(rows))) if result.people is not None]

    def time_parts(self, image: Image) -> dict[str, float]:
        """Return the seconds that the parts of ``predict`` take: to prepare the input, to run, to decode."""
        start = perf_counter()
        row = _Prepared(Path(), *self._prepare(image, "The image"))
        prepared = perf_counter()
        outputs = self._compute([row])
        computed = perf_counter()
        self._finish(([row], outputs))
        return {"before": prepared - start, "network": computed - prepared, "after": perf_counter() - computed}

    def predict_files(self, paths: Iterable[str | Path], *, batch_size: int = 1) -> Iterator[ImageResult]:
        """Yield a result for each file, in order; reading and the streams of the network go on side by side.

        A file that cannot be used has its reason in the result, and the others go on.

        Args:
            paths: Paths of images.
            batch_size: Images that are computed at once, where the file takes several.
        """
        BATCH_SIZE.check("batch_size", batch_size)
        ahead, remaining = max(_NUM_READERS, self.streams), iter(paths)
        batches = iter(lambda: list(islice(remaining, batch_size)), [])
        with ThreadPoolExecutor(ahead) as readers, ThreadPoolExecutor(self.streams) as streams:
            read = map_ahead(readers, self._read, batches, ahead)
            for computed in map_ahead(streams, lambda files: (files, self._compute(files)), read, self.streams):
                yield from self._finish(computed)

    def _read(self, paths: Sequence[str | Path]) -> list[_Prepared]:
        """Read files, and make rows of the engine's input of those that can be used."""
        prepared = []
        for path in map(Path, paths):
            try:
                prepared.append(_Prepared(path, *self._prepare(read_image(path), str(path))))
            except (DataError, MissingFileError) as error:
                prepared.append(_Prepared(path, error=str(error)))
        return prepared

    def _prepare(self, image: Image, name: str) -> tuple[NDArray[Any], Letterbox]:
        """Return one row of the engine's input, and how the image lies in it."""
        padded, letterbox = apply_letterbox(image, self.size_wh, self.info.pad_value, name)
        return make_input(padded, self.info.input), letterbox

    def _compute(self, files: Sequence[_Prepared]) -> list[Outputs]:
        """Run the engine on the rows, all at once or, if the file takes no batch, one by one, and check its outputs."""
        rows = [each.row for each in files if each.row is not None]
        size = max(1, len(rows)) if "batch" in self.info.dynamic else 1
        computed: list[Outputs] = []
        for start in range(0, len(rows), size):
            batch = np.stack(rows[start : start + size])
            outputs = {name: np.atleast_1d(value) for name, value in self._engine.run(batch).items()}
            check_arrays(self.info, outputs, self.size_wh, len(batch))
            computed.append(outputs)
        return computed

    def _finish(self, computed: tuple[Sequence[_Prepared], list[Outputs]]) -> list[ImageResult]:
        """Decode the engine's outputs and put people and errors in the order of the files."""
        files, outputs = computed
        people = iter([found for each in outputs for found in self._decoder.decode(each, self.size_wh)])
        return [
            ImageResult(each.path, None, each.error)
            if each.letterbox is None
            else ImageResult(each.path, next(people).restore(each.letterbox))
            for each in files
        ]


@dataclass(frozen=True)
class _Prepared:
    """A file that was read and made a row of the engine's input, or why it was not."""

    path: Path
    row: NDArray[Any] | None = None
    letterbox: Letterbox | None = None
    error: str | None = None


def _choose_size(own: tuple[int, int], wanted: tuple[int, int] | None, is_dynamic: bool) -> tuple[int, int]:
    """Return the size of the input.

    Raises:
        ConfigError: The file takes no such size.
    """
    if wanted is None or tuple(wanted) == own:
        return own
    if not is_dynamic:
        raise ConfigError(f"The file takes {own[0]}x{own[1]} pixels alone: export it with --dynamic size for others.")
    if min(wanted) < _SIZE_DIVISOR or any(n % _SIZE_DIVISOR for n in wanted):
        raise ConfigError(f"The size {wanted[0]}x{wanted[1]} cannot be: take multiples of {_SIZE_DIVISOR}.")
    return wanted
