"""The engine of PyTorch, for TorchScript (.pt), exported programs and packages of AOTInductor (both .pt2)."""

from __future__ import annotations

import io
import itertools
import pickle
import tempfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray

from rtmo_plugin.errors import ConfigError, DataError
from rtmo_plugin.runtime.engines.engine import make_weight_error
from rtmo_plugin.runtime.engines.torch_archive import TorchArchive

_DTYPES = {"auto": None, "float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}

_DEVICE_KEY = "AOTI_DEVICE_KEY"  # of the metadata that AOTInductor writes


class TorchEngine:
    """A file of PyTorch.

    Args:
        path: Path of the ``.pt`` or ``.pt2`` file.
        device: Device by torch's name.
        threads: CPU threads of torch in this whole process. Default: unchanged.
        precision: Precision: ``"auto"`` or ``"float32"``, or ``"bfloat16"`` or ``"float16"``: convolutions under
            autocast. A package of AOTInductor has the precision that it was compiled in.
        trust: Whether code in the file may run though it was not exported here.

    Raises:
        ConfigError: The device is not there or another one than the file is compiled for, the precision is unknown, or
            the file is not trusted.
        DataError: The file cannot be read, or is not an RTMO model.
        NonFiniteError: A weight is NaN or infinite.
    """

    streams = 1

    def __init__(
        self,
        path: Path,
        *,
        device: str = "cpu",
        threads: int | None = None,
        precision: str = "auto",
        trust: bool = False,
    ) -> None:
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
        archive = TorchArchive.read(path)
        archive.check_trusted(is_trusted_now=trust)
        self.info = archive.info
        if archive.is_compiled:
            if self._dtype is not None:
                raise ConfigError(f"{path} is compiled, and computes in {self.info.precision}: leave out {precision}.")
            self._model = _load_compiled(archive, self._device)
        else:
            self._model = _load(archive, self._device)
            _check_weights(self._model, path)
        self.computes_in = str(self._dtype).removeprefix("torch.") if self._dtype else self.info.precision
        self._names = archive.output_names

    @torch.inference_mode()
    def run(self, images: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
        """Run a batch, see ``Engine``."""
        with torch.autocast(self._device.type, self._dtype, enabled=self._dtype is not None):
            outputs = self._model(torch.from_numpy(images).to(self._device))
        return {name: value.float().cpu().numpy() for name, value in zip(self._names, outputs)}


def _check_weights(model: Any, path: Path) -> None:
    for name, value in itertools.chain(model.named_parameters(), model.named_buffers()):
        if value.is_floating_point() and not value.isfinite().all():
            raise make_weight_error(path, name)


def _load_compiled(archive: TorchArchive, device: torch.device) -> Any:
    """Return the model of an AOTInductor package; here code in the file may run.

    Raises:
        ConfigError: PyTorch is too old, or the package is compiled for another device.
        DataError: The file cannot be read, or was compiled by another version of PyTorch.
    """
    from torch import _inductor as inductor

    if not hasattr(inductor, "aoti_load_package"):
        raise ConfigError(f"{archive.path} needs PyTorch 2.6 or newer, and {torch.__version__} is installed.")
    index = -1 if device.index is None else device.index
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "model.pt2")
        copy.write_bytes(archive.content)  # what was trusted, whatever is in the file by now
        try:
            package = inductor.aoti_load_package(str(copy), device_index=index)
            compiled_for = package.get_metadata().get(_DEVICE_KEY, device.type)
        except (RuntimeError, OSError) as error:
            raise DataError(
                f"{archive.path} cannot be opened: it is damaged, or was compiled for another version of PyTorch or "
                f"another processor than this one (PyTorch {torch.__version__})."
            ) from error
    if compiled_for != device.type:
        raise ConfigError(f"{archive.path} is compiled for {compiled_for}, and the device is {device.type}.")
    return package


def _load(archive: TorchArchive, device: torch.device) -> Any:
    """Return the model of a file; here code in the file may run.

    Raises:
        ConfigError: PyTorch is too old to run an exported program on another device than the one it was made on.
        DataError: The file cannot be read.
    """
    content = io.BytesIO(archive.content)  # what was trusted, whatever is in the file by now
    try:
        if archive.path.suffix.lower() == ".pt2":
            program = torch.export.load(content)
            return (program if device.type == "cpu" else _move_program(program, device)).module()
        load: Any = torch.jit.load
        script = load(content, map_location=device)
        _move_script(script, device)
        return script
    except (RuntimeError, ValueError, KeyError, OSError, AssertionError, EOFError, pickle.UnpicklingError) as error:
        raise DataError(
            f"{archive.path} cannot be read as a file of PyTorch: it is damaged or of another kind."
        ) from error


def _move_program(program: torch.export.ExportedProgram, device: torch.device) -> torch.export.ExportedProgram:
    """Return an exported program on a device, with the tensors that it makes; weights alone move without this."""
    if find_spec("torch.export.passes") is None:
        raise ConfigError(f"Exported programs need PyTorch 2.6 or newer on {device}: {torch.__version__} is installed.")
    from torch.export.passes import move_to_device_pass

    return move_to_device_pass(program, str(device))


def _move_script(script: Any, device: torch.device) -> None:
    """Let a traced module make its tensors on a device; it would make them where it was traced."""
    graphs = [module._c._get_method(name).graph for module in script.modules() for name in module._c._method_names()]
    for node in (node for graph in graphs for node in graph.findAllNodes("prim::Constant")):
        if node.output().type().kind() == "DeviceObjType":
            node.s_("value", str(device))
