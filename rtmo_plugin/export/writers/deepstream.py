"""Files beside an ONNX file of the cut ``fused``: the configuration of DeepStream's nvinfer, and class labels.

The names of the keys, and the parser, are those of the repository marcoslucianops/DeepStream-Yolo-Pose.
"""

from __future__ import annotations

from pathlib import Path

from rtmo_plugin.runtime.model_files import locate_deepstream_files
from rtmo_plugin.runtime.model_info import ModelInfo

_PARSER = "nvdsinfer_custom_impl_Yolo_pose/libnvdsinfer_custom_impl_Yolo_pose.so"
_NETWORK_MODES = {"float32": (0, "fp32"), "float16": (2, "fp16"), "int8": (0, "fp32")}  # int8: by its own operators
_BGR, _INSTANCE_MASKS, _NO_CLUSTERING = 1, 3, 4


def write_deepstream_files(path: Path, info: ModelInfo) -> None:
    """Write the configuration and the labels beside an ONNX file.

    Args:
        path: ONNX file of the cut ``fused``.
        info: Metadata of the file.
    """
    config, labels = locate_deepstream_files(path)
    labels.write_text("".join(f"{name}\n" for name in info.classes), encoding="utf-8")
    width, height = info.size_wh
    mode, precision = _NETWORK_MODES[info.precision]
    sections: dict[str, dict[str, int | float | str]] = {
        "property": {
            "gpu-id": 0,
            "onnx-file": path.name,
            "model-engine-file": f"{path.name}_b1_gpu0_{precision}.engine",
            "labelfile-path": labels.name,
            "batch-size": 1,
            "infer-dims": f"3;{height};{width}",
            "network-mode": mode,
            "net-scale-factor": 1,
            "model-color-format": _BGR,
            "maintain-aspect-ratio": 1,
            "symmetric-padding": 1,
            "process-mode": 1,
            "network-type": _INSTANCE_MASKS,
            "num-detected-classes": len(info.classes),
            "cluster-mode": _NO_CLUSTERING,
            "interval": 0,
            "gie-unique-id": 1,
            "parse-bbox-instance-mask-func-name": "NvDsInferParseYoloPose",
            "custom-lib-path": _PARSER,
            "output-instance-mask": 1,
        },
        "class-attrs-all": {"pre-cluster-threshold": info.score_thr},
    }
    blocks = ("\n".join([f"[{name}]", *(f"{k}={v}" for k, v in keys.items()), ""]) for name, keys in sections.items())
    config.write_text("\n".join(blocks), encoding="utf-8")
