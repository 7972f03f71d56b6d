"""Which checkpoints can be computed by CUDA graphs, and the module that is recorded."""

from __future__ import annotations

import warnings
from typing import Any

import torch

from rtmo_plugin.engine.loaded_model import LoadedModel
from rtmo_plugin.engine.recordings import ForwardRecorder
from rtmo_plugin.export.export_options import SIZE_DIVISOR, ExportOptions
from rtmo_plugin.export.people_graph import MAX_PEOPLE, NUM_CANDIDATES, PeopleGraph
from rtmo_plugin.models.heads.rtmo_head import RTMOHead

_THRESHOLDS = ("score_thr", "nms_thr")
_TEST_OPTIONS = (*_THRESHOLDS, "nms_pre", "uncertainty")


def find_graph_obstacle(loaded: LoadedModel, recorder: ForwardRecorder) -> str | None:
    """Return why a model is not computed by CUDA graphs, as the end of a sentence, or None.

    Where the device could do it, a warning says why.
    """
    obstacle = recorder.find_obstacle(next(loaded.model.parameters()).device)
    if obstacle is None:
        obstacle = _find_foreign_part(loaded.model) or _find_foreign_step(_read_steps(loaded))
        if obstacle is not None:
            warnings.warn(f"CUDA graphs are not used: {obstacle}.", stacklevel=2)
    return obstacle


def build_people_graph(loaded: LoadedModel, dtype: torch.dtype) -> PeopleGraph:
    """Return a model without an obstacle as a module whose shapes do not depend on images, on the model's device.

    Args:
        loaded: Model.
        dtype: Type in which convolutions and attention compute.
    """
    test_cfg, resize = dict(loaded.model.test_cfg or {}), _read_steps(loaded)[0]
    options = ExportOptions(
        size_wh=tuple(resize["input_size"]),
        cut="decoded",
        input="uint8",
        uncertainty=bool(test_cfg.get("uncertainty")),
        top_k=NUM_CANDIDATES,
        max_people=MAX_PEOPLE,
        **{name: test_cfg[name] for name in _THRESHOLDS if name in test_cfg},
    )
    pad_value = tuple(resize["pad_val"])
    graph = PeopleGraph(loaded.model, options, dtype=dtype, pad_value=pad_value, nms_pre=test_cfg.get("nms_pre"))
    placed: Any = graph.eval().to(next(loaded.model.parameters()).device)
    built: PeopleGraph = placed.to(memory_format=torch.channels_last)
    return built


def _read_steps(loaded: LoadedModel) -> list[dict[str, Any]]:
    """Return the steps of the test pipeline after the one that reads the image."""
    return [dict(step) for step in loaded.cfg.test_dataloader.dataset.pipeline[1:]]


def _find_foreign_part(model: Any) -> str | None:
    """Return what a model does in prediction that the graph does not, as the end of a sentence, or None."""
    from mmpose.models import BottomupPoseEstimator  # whose import comes after our work-arounds

    head: Any = getattr(model, "head", None)
    test_cfg = model.test_cfg or {}
    own = [
        type(each).__name__ for each, base in ((model, BottomupPoseEstimator), (head, RTMOHead)) if _differs(each, base)
    ]
    foreign = [key for key, value in test_cfg.items() if value and key not in _TEST_OPTIONS]
    if own:
        return f"{own[0]} has a prediction of its own"
    if head.coordinates != "dcc":
        return f"its keypoints come from the {head.coordinates}"
    return f"test_cfg has {foreign[0]}" if foreign else None


def _differs(module: Any, base: Any) -> bool:
    return getattr(type(module), "predict", None) is not base.predict


def _find_foreign_step(steps: list[dict[str, Any]]) -> str | None:
    """Return what a test pipeline does that the graph does not, as the end of a sentence, or None."""
    names = [str(step.get("type")).rpartition(".")[2] for step in steps]
    if names != ["BottomupResize", "PackPoseInputs"]:
        return "the test pipeline has other steps than BottomupResize and PackPoseInputs"
    options = {key: value for key, value in steps[0].items() if key != "type"}
    color = options.get("pad_val")
    if options.keys() != {"input_size", "pad_val"} or not isinstance(color, (tuple, list)):
        return "BottomupResize has other options than input_size and a color as pad_val"
    if any(side % SIZE_DIVISOR for side in options["input_size"]):
        return f"the input is not a multiple of {SIZE_DIVISOR} pixels"
    return None
