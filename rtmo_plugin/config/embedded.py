"""The config that a checkpoint carries, read as data: nothing in its text is executed.

Training writes the text of its config into each checkpoint.  It is Python, and a checkpoint may come from
anywhere.  So the text is parsed and only literals, ``dict(...)`` and assignments of these are taken.  Of the
sections, only what predicting and testing need is kept, and only classes that MMPose, its libraries and this
package registered may be named in them, and no files that could hold code.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import mmpose
from mmengine import registry as root
from mmengine.config import Config
from mmpose.utils import register_all_modules

from rtmo_plugin.checkpoints.contents import make_plain
from rtmo_plugin.checkpoints.model_names import ModelKind, find_kind_of_model
from rtmo_plugin.checkpoints.reading import locate_checkpoint, read_checkpoint
from rtmo_plugin.checkpoints.zoo import is_url
from rtmo_plugin.config.registered_classes import MODEL_REGISTRIES, find_class
from rtmo_plugin.config.sections import is_pretrained, walk_sections
from rtmo_plugin.errors import CheckpointError, ConfigError
from rtmo_plugin.literals import TEXT_ERRORS, LiteralReader

_SECTIONS = ("default_scope", "model", "test_dataloader", "test_evaluator", "test_cfg", "data_mode")
_PACKAGES = ("rtmo_plugin", "mmpose", "mmdet", "mmcv", "mmengine", "torch")
_REGISTRIES = (*MODEL_REGISTRIES, root.WEIGHT_INITIALIZERS)
_NAME = re.compile(rf"(?:(?:{'|'.join(_PACKAGES[:5])})\.)?\w+")
_FUNCTIONS = ("pseudo_collate", "default_collate")
_WRITERS = ("DumpResults", "DumpDetResults", "DumpProposals", "DumpOdometryResults")
_WRITTEN = ("outfile_prefix", "file_client_args", "backend_args")  # options that name output files or servers
_WITH_CODE = (".py", ".pkl", ".pickle", ".pth", ".pt", ".pt2", ".npy", ".npz", ".yaml", ".yml")
_CHECKPOINTS = (".pth", ".safetensors")
_MAX_CHARACTERS = 4_000_000
_METAINFO = Path(mmpose.__file__).parent / ".mim/configs/_base_/datasets"


def carries_config(config: str | Path | Config) -> bool:
    """Tell whether a config argument is a checkpoint: a local file, a URL, or a name that ends as checkpoints do.

    A local file of another suffix is one if it begins as PyTorch's files do.
    """
    if isinstance(config, Config):
        return False
    path = Path(config)
    if not is_url(str(config)) and path.suffix.lower() not in _CHECKPOINTS:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            if not file.read(4).startswith((b"PK\x03\x04", b"\x80\x02")):  # an archive, or the older format, a pickle
                return False
    return find_kind_of_model(config) is ModelKind.CHECKPOINT


def refuse_checkpoint(config: str | Path | Config) -> None:
    """Refuse a checkpoint in place of a config.

    Raises:
        ConfigError: It is a checkpoint.
    """
    if carries_config(config):
        raise ConfigError(f"{config} is a checkpoint: name a config, and the checkpoint after --resume or --load-from.")


def find_checkpoint(config: str | Path | Config, checkpoint: str | Path | None) -> str | Path:
    """Return the checkpoint, which may also be given alone in place of its config.

    Raises:
        ConfigError: A config is given without a checkpoint.
    """
    if checkpoint is not None:
        return checkpoint
    if isinstance(config, Config) or not carries_config(config):
        raise ConfigError("No model is named: name a checkpoint after the config, or a checkpoint alone.")
    return config


def read_embedded_config(checkpoint: str | Path) -> Config:
    """Return the part of a checkpoint's own config with which its model is built and tested.

    Args:
        checkpoint: File or URL.

    Raises:
        MissingFileError: The file does not exist.
        CheckpointError: It is not a checkpoint, carries no config, or its config is more than data.
    """
    path = locate_checkpoint(checkpoint)
    meta = read_checkpoint(path).get("meta")
    notes = meta if isinstance(meta, Mapping) else {}
    text = notes.get("cfg") or notes.get("config")
    if not isinstance(text, str):
        raise CheckpointError(f"{path} does not carry its config: name the config too (rtmo predict: --config).")

    def refuse(reason: str) -> CheckpointError:
        return CheckpointError(
            f"The config inside {path} is not used, because {reason}: name a config that you trust "
            "(rtmo predict: --config)."
        )

    # The name of a Python file: MMEngine writes a copy of the config under it beside the log.
    return Config(
        _read_sections(text, refuse), cfg_text=" ", filename=str(path.with_suffix(".py")), format_python_code=False
    )


def format_config(cfg: Config) -> str:
    """Return the text of a config for a checkpoint; ``read_embedded_config`` reads it.

    It has the sections with which a model is built and tested.  Of absolute paths only the last part is kept: they
    mean nothing on another machine.

    Raises:
        CheckpointError: ``read_embedded_config`` would refuse it.
    """
    sections = {name: _make_portable(make_plain(cfg[name])) for name in _SECTIONS if name in cfg}
    text = "".join(f"{name} = {value!r}\n" for name, value in sections.items())

    def refuse(reason: str) -> CheckpointError:
        return CheckpointError(f"The config of this model cannot be stored beside its weights, because {reason}.")

    _read_sections(text, refuse)
    return text


def _make_portable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _make_portable(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(_make_portable, value))
    return Path(value).name if isinstance(value, str) and Path(value).is_absolute() else value


def _read_sections(text: str, refuse: Callable[[str], Exception]) -> dict[str, Any]:
    """Return the sections of a config's text that are needed, once nothing in them can run code."""
    values = parse_assignments(text, refuse)
    kept = {name: _clean(values[name], refuse) for name in _SECTIONS if name in values}
    if not isinstance(kept.get("model"), dict):
        raise refuse("it describes no model")
    if kept.get("default_scope", "mmpose") not in _PACKAGES:
        raise refuse(f"its default_scope is {kept['default_scope']!r}")
    register_all_modules(init_default_scope=False)
    for section in walk_sections(kept):
        _check_section(section, refuse)
    return kept


def parse_assignments(text: str, refuse: Callable[[str], Exception]) -> dict[str, Any]:
    """Return the values that a text of Python assigns to names, if all of them are literals or ``dict(...)``.

    Args:
        text: Python source of a config.
        refuse: Function that makes the error from the end of a sentence.

    Raises:
        CheckpointError: By way of ``refuse``: it is something else, or too long or too deep to read.

    Examples:
        >>> parse_assignments("a = dict(b=[1, -2.5], c=('x', None))", ValueError)
        {'a': {'b': [1, -2.5], 'c': ('x', None)}}
    """
    if len(text) > _MAX_CHARACTERS:
        raise refuse(f"it has {len(text):,} characters")
    reader, values = LiteralReader(refuse), dict[str, Any]()
    try:
        for statement in ast.parse(text).body:
            if not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
                raise refuse(f"line {statement.lineno} is not an assignment of a value")
            target = statement.targets[0]
            if not isinstance(target, ast.Name):
                raise refuse(f"line {statement.lineno} does not assign to a name")
            values[target.id] = reader.read(statement.value)
    except CheckpointError:
        raise
    except TEXT_ERRORS as error:
        raise refuse("it is not readable Python, or nested too deeply") from error
    return values


def _clean(value: Any, refuse: Callable[[str], Exception]) -> Any:
    """Return a section without pretrained weights, output files and servers, with MMPose's own metainfo files."""
    if isinstance(value, (list, tuple)):
        return type(value)(_clean(each, refuse) for each in value if not is_pretrained(each))
    if not isinstance(value, dict):
        return value
    cleaned = {
        key: _clean(each, refuse) for key, each in value.items() if key not in _WRITTEN and not is_pretrained(each)
    }
    if "from_file" in cleaned:
        own = _METAINFO / Path(str(cleaned["from_file"])).name
        if not own.is_file():
            raise refuse(f"it reads keypoints from the Python file {cleaned['from_file']}")
        cleaned["from_file"] = str(own)
    return cleaned


def _check_section(section: Mapping[Any, Any], refuse: Callable[[str], Exception]) -> None:
    """Refuse classes that are not registered, and strings that lead to code or to a server."""
    if "type" in section:
        _check_type(section["type"], refuse)
    for key, value in section.items():
        for text in value if isinstance(value, (list, tuple, set)) else (value,):
            if not isinstance(text, str) or key == "from_file":
                continue
            if "://" in text or text.lower().endswith(_WITH_CODE):
                raise refuse(f"it names {text}, which could hold code")


def _check_type(name: Any, refuse: Callable[[str], Exception]) -> None:
    if isinstance(name, str) and name in _FUNCTIONS:
        return
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name.rpartition(".")[2] in _WRITERS:
        raise refuse(f"it names the class {name!r}, which is not one of MMPose's or ours")
    for registry in _REGISTRIES:
        found = find_class(name, [registry]) if _is_registered(registry, name.rpartition(".")[2]) else None
        if found and found.__module__.partition(".")[0] in _PACKAGES:
            return
    raise refuse(f"it names the class {name!r}, which is not one of MMPose's or ours")


def _is_registered(registry: root.Registry, name: str) -> bool:
    """Tell whether a registry or one below it has a name; ``get`` would import any object whose path it is given."""
    registry.import_from_location()
    return name in registry.module_dict or any(_is_registered(each, name) for each in registry.children.values())
