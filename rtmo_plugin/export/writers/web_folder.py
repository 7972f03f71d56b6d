"""A folder with a page that runs the model in the browser: ONNX, ONNX Runtime for browsers, HTML and JavaScript."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from rtmo_plugin.errors import ConfigError
from rtmo_plugin.export.checks.tolerance import Differences
from rtmo_plugin.export.export_options import ExportOptions
from rtmo_plugin.export.ort_web import read_ort_web
from rtmo_plugin.export.writers.onnx_file import check_onnx, write_onnx
from rtmo_plugin.files import check_folder_is_free, create_folder, write_file, write_json
from rtmo_plugin.runtime.model_info import ModelInfo
from rtmo_plugin.webpage.page_files import PAGE, describe_for_page

MODEL, DESCRIPTION, RUNTIME = "model.onnx", "model.json", "ort"
_OWN_FILES = Path(__file__).parents[1] / "web"
_SHOWN_SCORE = 0.3  # lowest score that the page shows at first


def write_web(model: Any, path: Path, options: ExportOptions, info: ModelInfo) -> Differences:
    """Write a model as a folder that any web server can serve.

    Args:
        model: Trained model, in eval mode.
        path: Folder, which may exist if it is empty or of an earlier export.
        options: Options of the ONNX model, which takes one image of one size, and ``ort_web``.
        info: Metadata of the model.

    Returns:
        Differences between the ONNX model, run by ONNX Runtime, and PyTorch.

    Raises:
        ExportError: The model does not compute what PyTorch computes, and nothing was kept.
        OutputError: The folder has other files, or cannot be written.
        MissingFileError: ONNX Runtime for browsers cannot be downloaded.
        ConfigError: A package is missing, or the page does not support the options.
    """
    check_web(options, path)
    runtime = read_ort_web(options.ort_web)
    with create_folder(path, overwrite=_is_export(path)) as draft:
        found = write_onnx(model, draft / MODEL, replace(options, dynamic=()), replace(info, dynamic=()))
        shutil.copytree(PAGE, draft, dirs_exist_ok=True)
        shutil.copytree(_OWN_FILES, draft, dirs_exist_ok=True)
        for name, content in runtime.items():
            write_file(draft / RUNTIME / name, content)
        write_json(draft / DESCRIPTION, _describe(info, path), indent=1)
    return found


def check_web(options: ExportOptions, path: Path) -> None:
    """Check that the page can run what the options ask for, and that its folder and the given package are right.

    Raises:
        UserError: The options ask for more, a package is missing, or the folder has other files.
    """
    if options.cut != "end2end" or options.input != "float32" or "size" in options.dynamic:
        raise ConfigError(
            "The page runs models of --cut end2end with one size: leave out --cut, --input and --dynamic."
        )
    check_folder_is_free(path, overwrite=_is_export(path))
    if options.ort_web is not None:
        read_ort_web(options.ort_web)
    check_onnx(options, path)


def _is_export(path: Path) -> bool:
    return (path / DESCRIPTION).is_file() and (path / RUNTIME).is_dir()


def _describe(info: ModelInfo, path: Path) -> dict[str, Any]:
    """Return the content of ``model.json``."""
    return {
        **describe_for_page(info, info.name or path.resolve().name, max(_SHOWN_SCORE, info.score_thr)),
        "lowest_score": info.score_thr,
        "size_wh": info.size_wh,
        "pad_value": info.pad_value,
    }
