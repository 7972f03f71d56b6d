"""PyTorch, for TorchScript (.pt) and exported programs (.pt2); the only module here that needs it."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray

from rtmo_plugin.errors import ConfigError, DataError
from rtmo_plugin.inference.model_info import OUTPUT_NAMES, ModelInfo, list_names
from rtmo_plugin.score_calibration import METADATA_KEY
from rtmo_plugin.structures import KeypointSchema

_DTYPES = {"auto": None, "float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}


class TorchEngine:
    """A file of PyTorch.

    Args:
        path: Of the ``.pt`` or ``.pt2`` file.
        device: As torch names it.
        threads: Of the CPU, for all of torch in this process; None leaves them.
        precision: ``"auto"`` or ``"float32"``, or ``"bfloat16"`` or ``"float16"``: convolutions under autocast.

    Raises:
        ConfigError: The device is not there, or the precision is unknown.
        DataError: The file cannot be read, or is no RTMO.
    """

    streams = 1

    def __init__(self, path: Path, *, device: str = "cpu", threads: int | None = None, precision: str = "auto") -> None:
        if precision not in _DTYPES:
            raise ConfigError(f"The precision {precision} is unknown: choose {', '.join(_DTYPES)}.")
        try:
            self._device = torch.device(device)
            torch.empty(0, device=self._device)
        except (RuntimeError, AssertionError) as error:
            raise ConfigError(f"The device {device} cannot be used: {str(error).splitlines()[0]}") from error
        if threads:
            torch.set_num_threads(threads)
        self._dtype = _DTYPES[precision]
        self._model, strings = _load(path, self._device)
        if not ModelInfo.is_in(strings):
            raise DataError(f"{path} is no RTMO: it has no metadata of `rtmo export`.")
        self.info = ModelInfo.from_strings(strings, str(path))
        self.computes_in = str(self._dtype).removeprefix("torch.") if self._dtype else self.info.precision
        self._names = strings[OUTPUT_NAMES].split(",")

    @torch.inference_mode()
    def run(self, images: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
        """Run a batch, see ``Engine``."""
        with torch.autocast(self._device.type, self._dtype, enabled=self._dtype is not None):
            outputs = self._model(torch.from_numpy(images).to(self._device))
        return {name: value.float().cpu().numpy() for name, value in zip(self._names, outputs)}


def _load(path: Path, device: torch.device) -> tuple[Any, dict[str, str]]:
    """Return what runs and the metadata.

    Raises:
        DataError: The file cannot be read.
    """
    names = [f"keypoint_{field.name}" for field in fields(KeypointSchema)]
    names += [*list_names(), METADATA_KEY]
    if not zipfile.is_zipfile(path):  # both kinds are archives, and torch complains at length of others
        raise DataError(f"{path} cannot be read as a file of PyTorch: it is damaged or of another kind.")
    extra: dict[str, Any] = dict.fromkeys([*names, OUTPUT_NAMES], "")
    try:
        if path.suffix.lower() == ".pt2":
            model = torch.export.load(path, extra_files=extra).module().to(device)
        else:
            load: Any = torch.jit.load
            model = load(str(path), map_location=device, _extra_files=extra)
    except (RuntimeError, ValueError, KeyError, OSError, AssertionError, EOFError) as error:
        raise DataError(f"{path} cannot be read as a file of PyTorch: it is damaged or of another kind.") from error
    texts = {name: value.decode() if isinstance(value, bytes) else str(value) for name, value in extra.items()}
    return model, {name: text for name, text in texts.items() if text}
