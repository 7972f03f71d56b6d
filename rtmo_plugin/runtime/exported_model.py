"""An exported file as a function from images to detections, in any format that an engine runs; no torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtmo_plugin.errors import ConfigError
from rtmo_plugin.number_ranges import FRACTION
from rtmo_plugin.option_names import check_option_names
from rtmo_plugin.runtime.coordinate_decoder import CoordinateDecoder, CoordinateParameters, locate_parameters
from rtmo_plugin.runtime.decoding import Decoder, Outputs
from rtmo_plugin.runtime.detections import Detections
from rtmo_plugin.runtime.engines import open_engine
from rtmo_plugin.runtime.letterbox import Image, Letterbox, apply_letterbox, make_input
from rtmo_plugin.runtime.output_checks import check_arrays

_SIZE_DIVISOR = 32
_OPTIONS = (
    *("score_thr", "size_wh", "calibrated", "uncertainty"),
    *("runtime", "device", "threads", "precision", "streams", "trust"),
)


class ExportedModel:
    """An exported file, ready for images; ``Pose`` adds sources, streams, flipping and tiles.

    Args:
        file: File written by ``rtmo export``, or one of MMDeploy's RTMO files.
        size_wh: Input width and height, for a file whose size is dynamic. Default: that of the file's metadata.
        score_thr: Score above which detections are returned. Default: the file's own threshold.
        calibrated: Whether scores are the expected OKS; the file must have been exported with a score calibration.
        uncertainty: Whether detections have the standard deviations of their keypoints; the file must have been
            exported with ``--uncertainty``, except with the cut ``raw``.
        **options: Options of ``open_engine``: ``runtime``, ``device``, ``threads``, ``precision``, ``streams``,
            ``trust``.

    Attributes:
        info: Metadata of the file.
        computes_in: Human-readable precision in which this machine computes the file.
        streams: Number of batches that it computes side by side.
        size_wh: Input width and height.

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
        uncertainty: bool = False,
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
            parameters = CoordinateParameters.load(locate_parameters(Path(file)))
            coordinates = CoordinateDecoder(parameters)
        calibration = self.info.score_calibration if calibrated else None
        if calibrated and calibration is None:
            raise ConfigError(f"{file} holds no calibration of scores: export it with --calibration FILE.")
        if uncertainty and not (parameters.sigma_weight.size if coordinates else self.info.uncertainty):
            raise ConfigError(f"{file} holds no uncertainty of keypoints: export it with --uncertainty.")
        self._decoder = Decoder(self.info, coordinates, score_thr, calibration, uncertainty=uncertainty)

    def predict(self, image: Image, name: str = "The image") -> Detections:
        """Return the detections in an image, in pixels of that image.

        Args:
            image: Image, (height, width, 3) BGR.
            name: Name of the image in messages.

        Raises:
            DataError: The image cannot be scaled to the input.
            NonFiniteError: The file computes NaN or infinity.
        """
        return self.predict_batch([image], [name])[0]

    def predict_batch(self, images: Sequence[Image], names: Sequence[str] | None = None) -> list[Detections]:
        """Return the detections in each image, in pixels of that image.

        Args:
            images: Images, (height, width, 3) BGR, which may differ in size.
            names: Names of the images in messages. Default: their numbers.

        Raises:
            DataError: An image cannot be scaled to the input.
            NonFiniteError: The file computes NaN or infinity.
        """
        names = names or [f"Image {index}" for index in range(len(images))]
        rows = [self._prepare(image, name) for image, name in zip(images, names)]
        return self._finish(self._compute([row for row, _ in rows]), [letterbox for _, letterbox in rows])

    def time_parts(self, image: Image) -> dict[str, float]:
        """Return the seconds that the parts of ``predict`` take: to prepare the input, to run, to decode."""
        start = perf_counter()
        row, letterbox = self._prepare(image, "The image")
        prepared = perf_counter()
        outputs = self._compute([row])
        computed = perf_counter()
        self._finish(outputs, [letterbox])
        return {"before": prepared - start, "network": computed - prepared, "after": perf_counter() - computed}

    def _prepare(self, image: Image, name: str) -> tuple[NDArray[Any], Letterbox]:
        """Return one row of the engine's input, and how the image lies in it."""
        padded, letterbox = apply_letterbox(image, self.size_wh, self.info.pad_value, name)
        return make_input(padded, self.info.input), letterbox

    def _compute(self, rows: Sequence[NDArray[Any]]) -> list[Outputs]:
        """Return checked outputs of the engine for all rows at once, or one by one if the file takes no batch."""
        size = max(1, len(rows)) if "batch" in self.info.dynamic else 1
        computed: list[Outputs] = []
        for start in range(0, len(rows), size):
            batch = np.stack(rows[start : start + size])
            outputs = {name: np.atleast_1d(value) for name, value in self._engine.run(batch).items()}
            check_arrays(self.info, outputs, self.size_wh, len(batch))
            computed.append(outputs)
        return computed

    def _finish(self, computed: Sequence[Outputs], letterboxes: Sequence[Letterbox]) -> list[Detections]:
        """Return the detections in the engine's outputs, in pixels of their images."""
        found = [detections for outputs in computed for detections in self._decoder.decode(outputs, self.size_wh)]
        return [detections.restore(letterbox) for detections, letterbox in zip(found, letterboxes)]


def _choose_size(own: tuple[int, int], wanted: tuple[int, int] | None, is_dynamic: bool) -> tuple[int, int]:
    """Return the input size: the file's ``own`` or the ``wanted`` one.

    Raises:
        ConfigError: The file cannot take the wanted size.
    """
    if wanted is None or tuple(wanted) == own:
        return own
    if not is_dynamic:
        raise ConfigError(f"The file takes {own[0]}x{own[1]} pixels alone: export it with --dynamic size for others.")
    if min(wanted) < _SIZE_DIVISOR or any(n % _SIZE_DIVISOR for n in wanted):
        raise ConfigError(f"The size {wanted[0]}x{wanted[1]} cannot be: take multiples of {_SIZE_DIVISOR}.")
    return wanted
