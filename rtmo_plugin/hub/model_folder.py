"""Find the files of a model in a folder or on the Hugging Face Hub: only those named, and none that can hold code.

``huggingface_hub`` downloads them to its own cache, once.  ``HF_HUB_OFFLINE=1`` keeps it from the network.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rtmo_plugin.errors import ConfigError, MissingFileError, MissingPackageError, UserError, write_install_line

CARD_FILE, CONFIG_FILE, PREPROCESSOR_FILE = "README.md", "config.json", "preprocessor_config.json"
WEIGHTS_FILE = "model.safetensors"
# Where transformers.js looks for the dtypes fp32, fp16 and int8.
ONNX_FILE, ONNX_HALF_FILE, ONNX_INT8_FILE = "onnx/model.onnx", "onnx/model_fp16.onnx", "onnx/model_int8.onnx"
ONNX_FILES = (ONNX_FILE, ONNX_HALF_FILE, ONNX_INT8_FILE)
DOWNLOAD_OPTIONS = ("revision", "token", "cache_dir", "force_download", "local_files_only")
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_FILE = re.compile(r"(?:[\w-][\w.-]*/)*[\w-][\w.-]*\.(?:safetensors|onnx|json)")
# Errors of huggingface_hub that are neither OSError nor ValueError; older versions lack some.
_ERRORS = (
    "EntryNotFoundError", "HTTPError", "RevisionResolutionError", "CorruptedCacheException", "XetDownloadError",
)  # fmt: skip


def locate_model_folder(model: str | Path, files: Sequence[str], **download: Any) -> Path:
    """Return a folder that has the files of a model, after a download if it is a name of the Hub.

    Args:
        model: Folder, or name of a repository such as ``org/name``. A folder of that name comes first.
        files: Paths of the files inside the folder; only .safetensors, .onnx and .json.
        **download: Options of ``huggingface_hub.hf_hub_download`` in ``DOWNLOAD_OPTIONS``.

    Raises:
        MissingFileError: The folder or repository does not exist, lacks a file, or cannot be downloaded.
        MissingPackageError: The package ``huggingface_hub`` is not installed, and no folder has this name.
        ConfigError: A file has another ending, or leaves the folder.
    """
    for file in files:
        if not _FILE.fullmatch(file):
            raise ConfigError(f"{file!r} is not a file of a model: name one such as {WEIGHTS_FILE} or {ONNX_FILE}.")
    name, folder = str(model), Path(model).expanduser()
    if folder.is_dir():
        for file in files:
            if not (folder / file).is_file():
                others = sorted(each.name for each in folder.glob("*.bin")) if file == WEIGHTS_FILE else []
                hint = f": {others[0]} is a pickle, which could hold code, and is not read" if others else ""
                raise MissingFileError(f"{folder} has no file {file}{hint}.")
        return folder
    if not _NAME.fullmatch(name):
        raise MissingFileError(f"The folder {name} does not exist, and the Hub's names are such as org/name.")
    located = []
    for file in files:
        with explain_hub_errors(f"{file} of {name} cannot be downloaded"):
            from huggingface_hub import hf_hub_download

            located.append(Path(hf_hub_download(name, file, **download)))
    return located[0].parents[files[0].count("/")]


@contextmanager
def explain_hub_errors(failure: str) -> Iterator[None]:
    """Turn what ``huggingface_hub`` raises into a sentence.

    Args:
        failure: Begin of the sentence.

    Raises:
        MissingPackageError: It is not installed.
        MissingFileError: The Hub has no such repository, revision or file, cannot be reached, or is not to be reached.
    """
    try:
        from huggingface_hub import constants, errors
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            f"The Hub needs huggingface_hub, which is not installed: {write_install_line('hub')}"
        ) from error
    kinds = tuple(getattr(errors, each) for each in _ERRORS if hasattr(errors, each))
    try:
        yield
    except UserError:
        raise
    except (OSError, ValueError, *kinds) as error:
        if isinstance(error, errors.LocalEntryNotFoundError) and constants.HF_HUB_OFFLINE:
            reason = f"HF_HUB_OFFLINE is set, and it is not in the cache {constants.HF_HUB_CACHE}"
        elif isinstance(error, errors.LocalEntryNotFoundError):
            reason = f"the Hub cannot be reached, and it is not in the cache {constants.HF_HUB_CACHE}"
        else:
            reason = " ".join(str(error).split())[:300].rstrip(".") or type(error).__name__
        raise MissingFileError(f"{failure}: {reason}.") from error
