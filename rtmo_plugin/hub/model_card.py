"""``README.md`` of a folder on the Hub: what the model is, how it is used, and which files are there."""

from __future__ import annotations

import re
from collections.abc import Iterable

import yaml

from rtmo_plugin.errors import escape_control_characters
from rtmo_plugin.hub.model_description import ModelDescription
from rtmo_plugin.hub.model_folder import (
    CONFIG_FILE,
    ONNX_FILE,
    ONNX_FILES,
    ONNX_HALF_FILE,
    ONNX_INT8_FILE,
    PREPROCESSOR_FILE,
    WEIGHTS_FILE,
)

LIBRARY, PIPELINE = "rtmo-plugin", "keypoint-detection"
TAGS = ("rtmo", "pose-estimation", "keypoint-detection", "mmpose")
_PURPOSES = {
    WEIGHTS_FILE: "weights with their config, for PyTorch",
    CONFIG_FILE: "size, keypoints, classes, input and thresholds",
    ONNX_FILE: "end-to-end ONNX model: people come out, no NMS is needed",
    ONNX_HALF_FILE: "the same, computed in float16",
    ONNX_INT8_FILE: "the same, convolutions in eight bits",
    PREPROCESSOR_FILE: "input of the ONNX models, for transformers.js",
}
_CITATION = """```bibtex
@inproceedings{lu2024rtmo,
  title={{RTMO}: Towards High-Performance One-Stage Real-Time Multi-Person Pose Estimation},
  author={Lu, Peng and Jiang, Tao and Li, Yining and Li, Xiangtai and Chen, Kai and Yang, Wenming},
  booktitle={CVPR},
  year={2024}
}
```"""


def write_card(
    name: str,
    description: ModelDescription,
    files: Iterable[str],
    *,
    license: str | None,  # noqa: A002  (the word of model cards)
    ap: float | None = None,
) -> str:
    """Return the text of a model card.

    Args:
        name: Name of the model, which is the end of its repository's name.
        description: Description of the model.
        files: Paths inside the folder.
        license: License of the weights as the Hub spells it. None: not stated.
        ap: AP of the last validation in training. None if it is unknown.
    """
    files, title = list(files), _escape(name)
    formats = (["safetensors"] if WEIGHTS_FILE in files else []) + (["onnx"] if set(ONNX_FILES) & set(files) else [])
    matter = {
        **({"license": license} if license else {}),
        "library_name": LIBRARY,
        "pipeline_tag": PIPELINE,
        "tags": [*TAGS, *formats],
    }
    width, height = description.size_wh
    rows = {
        "network": f"RTMO, {description.size}" if description.size else "RTMO",
        "input": f"{width} x {height} pixels, BGR, 0 to 255",
        "classes": ", ".join(map(_escape, description.classes)),
        "keypoints": ", ".join(map(_escape, description.schema.names)),
        "thresholds": f"score {description.score_thr:g}, IoU {description.nms_thr:g}",
        **({"AP of the last validation in training": f"{ap:.3f}"} if ap is not None else {}),
    }
    own = "" if description.size is None else _PYTORCH.format(name=title)
    return "\n".join(
        [
            f"---\n{yaml.safe_dump(matter, sort_keys=False)}---\n",
            f"# {title}\n",
            "One-stage real-time multi-person pose estimation with [RTMO](https://arxiv.org/abs/2312.07526).\n",
            "| | |\n|---|---|",
            *(f"| {key} | {value} |" for key, value in rows.items()),
            f"\n## Use\n{_USE.format(name=title)}{own}\n",
            "| file | |\n|---|---|",
            *(f"| `{file}` | {_PURPOSES[file]} |" for file in files if file in _PURPOSES),
            f"\n## Citation\n\n{_CITATION}\n",
        ]
    )


_USE = """
```bash
pip install "rtmo-plugin[hub]"
```

```python
from rtmo_plugin import Pose

pose = Pose.from_pretrained("OWNER/{name}")
people = pose("photo.jpg")
people.keypoints, people.scores
```
"""
_PYTORCH = """
The network alone, for training or inside another program:

```python
from rtmo_plugin import RTMO

model = RTMO.from_pretrained("OWNER/{name}")
```
"""


def _escape(text: str) -> str:
    """Return a name without characters that would mean something in a table of Markdown."""
    return re.sub(r"([|`<>\[\]*])", r"\\\1", escape_control_characters(text))
