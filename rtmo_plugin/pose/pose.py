"""``Pose``: detect the people in images, videos and camera streams with a model in any form."""

from __future__ import annotations

from collections.abc import Generator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rtmo_plugin.checkpoints.model_names import ModelKind, find_kind_of_model, locate_exported
from rtmo_plugin.errors import ConfigError, DataError, explain_missing_packages
from rtmo_plugin.hub.model_folder import DOWNLOAD_OPTIONS, ONNX_FILE, WEIGHTS_FILE, locate_model_folder
from rtmo_plugin.media.sources import SourceKind, find_kind, read_frames
from rtmo_plugin.number_ranges import BATCH_SIZE, FRACTION, NUMBER, SIDE
from rtmo_plugin.option_names import check_option_names
from rtmo_plugin.pose.flipping import FlippingModel
from rtmo_plugin.pose.results import PoseResult
from rtmo_plugin.pose.streaming import Model, stream_results
from rtmo_plugin.pose.tiling import TilingModel
from rtmo_plugin.runtime.engines import check_runtime_name
from rtmo_plugin.runtime.exported_model import ExportedModel

if TYPE_CHECKING:
    from rtmo_plugin.pose.checkpoint_model import CheckpointModel

__all__ = ["Pose", "PoseResult", "open_model"]

# In the order of the documentation: options of every model, of checkpoints, and of exported files.
_OPTIONS = (
    *("score_thr", "flip", "tile", "uncertainty", "config", "device", "cfg_options"),
    "graphs",
    *("size_wh", "runtime", "threads", "precision", "streams", "calibrated", "trust"),
)
_OF_CHECKPOINTS = ("config", "cfg_options", "graphs")
_OF_BOTH = ("device", "uncertainty", "precision", "streams")


class Pose:
    """Model that detects people in images, videos and camera streams.

    Args:
        model: Exported file, which needs neither torch nor MMPose; checkpoint, which carries its config; or published
            name such as ``rtmo-s_body7-onnx``, which is downloaded once.
        config: Config of a checkpoint, as a file or a shipped name. Default: the one that the checkpoint carries or is
            published with.
        score_thr: Lowest score of a person.
        flip: Whether the mirrored image is processed as well, at twice the time.
        tile: Side of overlapping square tiles in pixels, for small people in large images. Default: no tiles.
        **options: ``device``; ``uncertainty`` (whether results have the standard deviations of keypoints; not with
            flip and tile, and for an exported file only if it has them); ``precision``; ``streams`` (number of batches
            that ``stream`` computes side by side; None: two, where that is faster); for a checkpoint also
            ``cfg_options`` (values to change in its config, by dotted key) and ``graphs`` (whether it is computed by
            CUDA graphs, which an NVIDIA GPU does by default); for an exported file also ``trust`` (whether code in a
            .pt, .pt2 or .engine file may run that was not exported here), ``size_wh``, ``runtime``, ``threads`` and
            ``calibrated``.

    Raises:
        UserError: The model, its config or an option is wrong.

    Attributes:
        info: Keypoint names, skeleton and classes of the model.
    """

    def __init__(
        self,
        model: str | Path,
        *,
        config: str | Path | None = None,
        score_thr: float = 0.3,
        flip: bool = False,
        tile: int | None = None,
        **options: Any,
    ) -> None:
        check_option_names("Pose", options, _OPTIONS)
        self._name, self._score_thr = str(model), score_thr
        FRACTION.check("score_thr", score_thr)
        if tile is not None:
            SIDE.check("tile", tile)
        if options.get("uncertainty") and (flip or tile is not None):
            raise ConfigError(f"uncertainty is not computed with {'flip' if flip else 'tile'}: leave one of them out.")
        opened = open_model(model, config, score_thr, options)
        self._model: Model = opened
        self.info = opened.info
        self._streams = opened.streams
        if flip:
            self._model = FlippingModel(self._model, score_thr)
        if tile is not None:
            self._model = TilingModel(self._model, tile)

    @classmethod
    def from_pretrained(cls, model: str | Path, *, file: str | None = None, **options: Any) -> Pose:
        """Open a model of the Hugging Face Hub, or of a folder in its layout; nothing in it is executed.

        Args:
            model: Name of a repository, such as ``org/name``, or a folder, which comes first.
            file: File of the repository to open. Default: ``model.safetensors``; ``onnx/model.onnx`` where PyTorch or
                MMPose is not installed.
            **options: Options of ``Pose``; and ``revision``, ``token``, ``cache_dir``, ``force_download``,
                ``local_files_only``, as ``huggingface_hub`` takes them.

        Raises:
            UserError: The file cannot be had or read, or an option is wrong.
        """
        download = {name: options.pop(name) for name in DOWNLOAD_OPTIONS if name in options}
        if file is None:
            file = WEIGHTS_FILE if all(map(find_spec, ("torch", "mmpose"))) else ONNX_FILE
        return cls(locate_model_folder(model, (file,), **download) / file, **options)

    def __repr__(self) -> str:
        """Return the name of the model and its number of keypoints in one line."""
        return f"Pose({self._name!r}, {self.info.schema.num_keypoints} keypoints, score_thr={self._score_thr:g})"

    def __call__(self, source: Any, *, batch_size: int = 1) -> Any:
        """Detect the people in a source, see ``rtmo_plugin.media.sources``.

        Returns:
            A ``PoseResult`` for one image, a list of them for several images, and what ``stream`` returns for a video
            or a camera.

        Raises:
            UserError: The source does not exist or is empty, or its only image cannot be used.
        """
        kind = find_kind(source)
        results = self.stream(source, batch_size=batch_size)
        if kind is SourceKind.IMAGE:
            (result,) = results
            if result.error:
                raise DataError(result.error)
            return result
        return list(results) if kind is SourceKind.IMAGES else results

    def stream(self, source: Any, *, batch_size: int = 1, start: int = 0) -> Generator[PoseResult, None, None]:
        """Return the results of a source one after another; only a few are in memory at a time.

        Threads read and compute ahead while a result is used.  An image that cannot be used is a result with an
        ``error``, and so is the end of a video that ends early.

        Args:
            source: Any source that ``rtmo_plugin.media.sources`` lists.
            batch_size: Number of images that are computed at once.
            start: Index of the first result; earlier frames of a video are skipped, and images are counted from it.

        Raises:
            UserError: The source does not exist or is empty.
        """
        BATCH_SIZE.check("batch_size", batch_size)
        NUMBER.check("start", start)
        return stream_results(self._model, read_frames(source, start=start), batch_size, self._streams)


def open_model(
    model: str | Path, config: str | Path | None, score_thr: float, options: dict[str, Any]
) -> ExportedModel | CheckpointModel:
    """Open an exported file, a checkpoint or a published name; see ``Pose`` for the arguments.

    Raises:
        UserError: The model, its config or an option is wrong.
    """
    name, kind = str(model), find_kind_of_model(model)
    if kind is ModelKind.EXPORTED:
        of_checkpoints = {key: {**options, "config": config}.get(key) for key in _OF_CHECKPOINTS}
        if given := [each for each, value in of_checkpoints.items() if value not in (None, {})]:
            raise ConfigError(f"{given[0]} is an option of checkpoints alone, and {name} is an exported file.")
        options = {key: value for key, value in options.items() if key not in of_checkpoints}
        check_runtime_name(options.get("runtime"))  # before a download
        return ExportedModel(locate_exported(model), score_thr=score_thr, **options)
    if kind is not ModelKind.CHECKPOINT:
        raise ConfigError(f"{name} is {kind.value}: name an exported file, such as rtmo-s.onnx, or a checkpoint.")
    if foreign := sorted(set(options) - {*_OF_CHECKPOINTS, *_OF_BOTH}):
        raise ConfigError(f"{foreign[0]} is an option of exported files alone, and {name} is a checkpoint.")
    with explain_missing_packages():  # torch and MMPose, which a checkpoint needs and an exported file does not
        from rtmo_plugin.pose.checkpoint_model import CheckpointModel

    return CheckpointModel(config or name, model, score_thr=score_thr, **options)
