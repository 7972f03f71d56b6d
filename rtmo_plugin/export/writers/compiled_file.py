"""Packages of AOTInductor (.pt2): a model compiled to machine code for one device, which runs without compiling.

The code is for the processor that it was compiled on, and for the version of PyTorch.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from rtmo_plugin.engine.loaded_model import choose_device
from rtmo_plugin.errors import ConfigError, ExportError
from rtmo_plugin.export.checks.tolerance import Differences
from rtmo_plugin.export.export_options import ExportOptions
from rtmo_plugin.export.graphs import RawGraph
from rtmo_plugin.export.writers.torch_files import Forward, check_torch_file, export_program, write_torch_file
from rtmo_plugin.runtime.model_info import ModelInfo

_METADATA = "extra"  # the folder of the archive that PyTorch has for them


def write_compiled(model: Any, path: Path, options: ExportOptions, info: ModelInfo) -> Differences:
    """Write a model as an AOTInductor package, see ``write_onnx`` for arguments and errors."""
    check_compiled(options, path)
    from torch import _inductor as inductor

    index = choose_device(options.device).index

    def save(graph: RawGraph, draft: Path, strings: dict[str, str]) -> None:
        with explain_compiler():
            inductor.aoti_compile_and_package(export_program(graph, options), package_path=str(draft))
        add_metadata(draft, strings)

    def load(draft: Path) -> Forward:
        package: Forward = inductor.aoti_load_package(str(draft), device_index=-1 if index is None else index)
        return package

    return write_torch_file(model, path, options, info, save, load)


def check_compiled(options: ExportOptions, path: Path) -> None:
    """Check that a package can be compiled here, and can hold what the options ask for.

    Raises:
        ConfigError: PyTorch is too old, the compiler, CUDA's toolkit or the device is missing, or the options ask for
            more.
    """
    from torch import _inductor as inductor  # its import takes as long as a small export

    if not hasattr(inductor, "aoti_compile_and_package"):
        raise ConfigError(f"--format aoti needs PyTorch 2.6 or newer, and {torch.__version__} is installed.")
    if "size" in options.dynamic:
        raise ConfigError("An AOTInductor package takes one size: leave out --dynamic size.")
    check_torch_file(options, path)
    device = choose_device(options.device)
    check_compiler()
    if device.type == "cuda" and torch.version.hip is None:
        check_toolkit()


def check_compiler() -> None:
    """Check that there is a C++ compiler, which AOTInductor calls.

    Raises:
        ConfigError: There is none.
    """
    from torch._inductor.cpp_builder import get_cpp_compiler

    try:
        get_cpp_compiler()
    except RuntimeError as error:
        raise ConfigError(
            "--format aoti compiles with a C++ compiler, and there is none: install g++, or name one in the variable "
            "CXX. Running the file needs none."
        ) from error


def check_toolkit() -> None:
    """Check that there is CUDA's toolkit, and name its folder in ``CUDA_HOME``, where the linker looks for its stubs.

    Raises:
        ConfigError: There is none.
    """
    from torch.utils.cpp_extension import CUDA_HOME

    if CUDA_HOME is None:
        raise ConfigError(
            f"--format aoti compiles for a GPU with CUDA's toolkit, and there is none: install that of CUDA "
            f"{torch.version.cuda}, or name its folder in the variable CUDA_HOME. Running the file needs none."
        )
    os.environ.setdefault("CUDA_HOME", CUDA_HOME)


@contextmanager
def explain_compiler() -> Iterator[None]:
    """Raise an error with the compiler's last line where it fails.

    Raises:
        ExportError: The compiler failed.
    """
    from torch._dynamo.exc import BackendCompilerFailed
    from torch._inductor.exc import CppCompileError

    try:
        yield
    except (BackendCompilerFailed, CppCompileError) as error:
        cause = getattr(error, "inner_exception", error)
        if not isinstance(cause, CppCompileError):
            raise
        line = next((each for each in reversed(cause.output.splitlines()) if each.strip()), "it printed nothing")
        raise ExportError(f"--format aoti: the C++ compiler failed: {line}") from error


def add_metadata(package: Path, strings: dict[str, str]) -> None:
    """Add metadata to an archive of PyTorch, each string as an entry of its own."""
    with zipfile.ZipFile(package, "a") as archive:
        root = archive.namelist()[0].partition("/")[0]
        for name, value in strings.items():
            archive.writestr(f"{root}/{_METADATA}/{name}", value)
