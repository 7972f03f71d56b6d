"""Exported files with random weights, which suffice to measure time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpose.registry import MODELS

from rtmo_plugin.config.config_files import load_config, set_options
from rtmo_plugin.export.export_options import ExportOptions
from rtmo_plugin.export.graphs import build_graph
from rtmo_plugin.export.writers.onnx_file import convert_to_onnx
from rtmo_plugin.files import write_file
from rtmo_plugin.runtime.model_info import ModelInfo

_NO_LIMIT = 10**6  # people


def build_untrained(cfg: Config) -> Any:
    """Return the model of a config with random weights, in eval mode.

    Batch norm gets its statistics from noise: with its initial ones, activations of wide networks overflow.
    """
    init_default_scope("mmpose")
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # the running statistics become those of the one batch
            module.reset_running_stats()
    with torch.no_grad():
        model.head.head_module(model.neck(model.backbone(255 * torch.rand(2, 3, 128, 128))))
    return model.eval()


def load_size(name: str, widen: float | None = None, deepen: float | None = None) -> Config:
    """Return a shipped config with another width and depth, without pretrained weights."""
    options: dict[str, Any] = {"model.backbone.init_cfg": None}
    parts = ("backbone", "neck", "head")
    options.update({f"model.{part}.widen_factor": widen for part in parts if widen is not None})
    options.update({f"model.{part}.deepen_factor": deepen for part in parts[:2] if deepen is not None})
    cfg = load_config(name)
    set_options(cfg, options)
    return cfg


def write_untrained(cfg: Config, size: int, path: Path) -> None:
    """Write an ONNX file of a config with random weights, unless it exists.

    ``api.export`` would compare it with PyTorch, person by person; but untrained scores hardly differ, so
    that rounding decides their order.

    Args:
        cfg: Config of the model.
        size: Width and height of the input in pixels.
        path: File to write.
    """
    if path.is_file():
        return
    model = build_untrained(cfg)
    options = ExportOptions(size_wh=(size, size), dynamic=(), input="uint8")
    info = ModelInfo(model.head.schema, size_wh=(size, size), input=options.input, dynamic=(), max_people=_NO_LIMIT)
    content = convert_to_onnx(build_graph(model, options), options, info.to_strings()).SerializeToString()
    write_file(path, content)


def locate_files(run_dir: Path) -> Path:
    """Return the folder of files that all runs of a study share, from the folder of one run."""
    folder = run_dir.parents[1] / "files"
    folder.mkdir(exist_ok=True)
    return folder
