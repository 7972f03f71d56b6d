"""Files of the page, and the description of a model that the page reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rtmo_plugin.runtime.model_info import ModelInfo

PAGE = Path(__file__).with_name("page")
INDEX, DETECTOR = "index.html", "detector.js"
PAGE_FILES = (INDEX, "opened_as_file.js", "page.js", "plot.js", "style.css")


def describe_for_page(info: ModelInfo, name: str, score_thr: float) -> dict[str, Any]:
    """Return what the page shows of a model and needs to plot its people, as plain values for JSON.

    Args:
        info: Metadata of the model.
        name: Human-readable name of the model.
        score_thr: Lowest score of the people that the page shows at first.
    """
    return {
        "name": name,
        "keypoint_names": info.schema.names,
        "flip_pairs": info.schema.flip_pairs,
        "classes": info.classes,
        "skeletons": info.find_skeletons(range(len(info.classes))),
        "score_thr": score_thr,
    }
