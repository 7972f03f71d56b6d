"""Exported files that find a fixed number of people in any image, to measure what each person costs."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from rtmo_plugin.export.writers.onnx_file import replace_constants
from rtmo_plugin.runtime.exported_model import ExportedModel


def open_with_people(file: Path, num_people: int, **options: Any) -> ExportedModel:
    """Open an ONNX file so that it returns its best priors as people, without NMS.

    Args:
        file: File with NMS inside.
        num_people: Number of people, at most the number of priors.
        **options: Options of ``ExportedModel``.
    """
    score_thr = 0.0 if num_people else 1.0
    content = replace_constants(file.read_bytes(), score_thr=score_thr, nms_thr=1.0, max_people=max(1, num_people))
    with tempfile.TemporaryDirectory() as folder:
        changed = Path(folder, file.name)
        changed.write_bytes(content)
        return ExportedModel(changed, score_thr=score_thr, **options)
