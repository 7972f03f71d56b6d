"""Rows of the table of exported formats: options, runtime, and the test that compares each with PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class FormatRow:
    """One kind of exported file.

    Attributes:
        name: Name in the table of docs/export.md.
        suffix: End of the file name.
        options: Options of ``rtmo_plugin.api.export``.
        runtime: Runtime of ``rtmo_plugin.runtime.engines`` that runs the file here. None: none does.
        packages: Packages that write and run the file.
        test: Test that compares the file with PyTorch, ``FILE::FUNCTION`` below ``tests/``.
        precision: Precision in which the runtime computes it.
        note: Where the file is run if it is not here, or what remains to be known.
    """

    name: str
    suffix: str
    options: Mapping[str, Any]
    runtime: str | None
    packages: tuple[str, ...]
    test: str
    precision: str = "float32"
    note: str = ""


_ONNX, _OPENVINO = ("onnx", "onnxruntime"), ("onnx", "openvino")
_IN_OPENVINO: dict[str, Any] = {"format": "openvino"}
_LITERT = ("litert_torch", "ai_edge_litert")
_IN_LITERT: dict[str, Any] = {"format": "litert", "cut": "raw", "dynamic": "none"}
_IN_EXECUTORCH: dict[str, Any] = {"format": "executorch", "dynamic": "none"}
ROWS = (
    FormatRow("ONNX, end2end", ".onnx", {}, "onnxruntime", _ONNX,
              "export/test_onnx_file.py::test_default_file_has_mmdeploys_signature"),
    FormatRow("ONNX, decoded", ".onnx", {"cut": "decoded"}, "onnxruntime", _ONNX,
              "export/test_onnx_file.py::test_decoded_and_raw_cuts"),
    FormatRow("ONNX, fused (DeepStream)", ".onnx", {"cut": "fused"}, "onnxruntime", _ONNX,
              "export/test_fused_file.py::test_their_parser_finds_the_people_that_our_runtime_finds",
              note="DeepStream was not run"),
    FormatRow("ONNX, raw", ".onnx", {"cut": "raw"}, "onnxruntime", _ONNX,
              "export/test_onnx_file.py::test_decoded_and_raw_cuts"),
    FormatRow("ONNX, batch and size dynamic", ".onnx", {"dynamic": "batch,size"}, "onnxruntime", _ONNX,
              "export/test_onnx_file.py::test_everything_dynamic"),
    FormatRow("ONNX, opset 11", ".onnx", {"opset": 11}, "onnxruntime", _ONNX,
              "export/test_opsets.py::test_a_file_of_any_opset_computes_what_pytorch_computes"),
    FormatRow("ONNX, with uncertainty", ".onnx", {"uncertainty": True}, "onnxruntime", _ONNX,
              "export/test_uncertainty_file.py::test_deviations_are_those_of_the_checkpoint_in_pixels_of_the_image"),
    FormatRow("ONNX, half", ".onnx", {"half": True}, "onnxruntime", _ONNX,
              "export/test_onnx_file.py::test_half_precision_keeps_inputs_and_outputs"),
    FormatRow("ONNX, int8", ".onnx", {"int8": True}, "onnxruntime", _ONNX,
              "export/test_quantization.py::test_ap_before_and_after_is_reported"),
    FormatRow("OpenVINO, end2end", ".xml", _IN_OPENVINO, "openvino", _OPENVINO,
              "export/test_openvino_file.py::test_file_agrees_with_pytorch_and_with_onnx_runtime"),
    FormatRow("OpenVINO, end2end, auto precision", ".xml", _IN_OPENVINO, "openvino", _OPENVINO,
              "runtime/test_mixed_precision.py::test_default_is_close_to_float32", precision="auto"),
    FormatRow("OpenVINO, int8", ".xml", {**_IN_OPENVINO, "int8": True}, "openvino", _OPENVINO,
              "export/test_quantization.py::test_ap_before_and_after_is_reported"),
    FormatRow("TorchScript, decoded", ".pt", {"format": "torchscript", "cut": "decoded"}, "torch", ("torch",),
              "export/test_torch_files.py::test_both_find_the_same_people"),
    FormatRow("pt2, decoded", ".pt2", {"format": "pt2", "cut": "decoded"}, "torch", ("torch",),
              "export/test_torch_files.py::test_both_find_the_same_people"),
    FormatRow("AOTInductor, decoded", ".pt2", {"format": "aoti", "cut": "decoded"}, "torch", ("torch",),
              "export/test_compiled_file.py::test_a_package_finds_the_people_of_an_exported_program"),
    FormatRow("TensorRT engine, decoded", ".engine", {"format": "engine", "cut": "decoded"}, "engine", ("tensorrt",),
              "export/test_engine_file.py::test_an_engine_finds_the_people_of_onnx_runtime",
              note="needs an NVIDIA GPU; not run yet"),
    FormatRow("ncnn, raw", ".param", {"format": "ncnn", "cut": "raw", "dynamic": "none"}, "ncnn", ("ncnn", "pnnx"),
              "export/test_ncnn_file.py::test_people_are_those_of_onnx_runtime"),
    FormatRow("web page", ".page", {"format": "web"}, None, _ONNX,
              "export/test_web_folder.py::test_people_are_python_s", note="run in Chromium by the test"),
    FormatRow("LiteRT, raw", ".tflite", _IN_LITERT, "litert", _LITERT,
              "export/test_litert_file.py::test_people_are_those_of_onnx_runtime"),
    FormatRow("LiteRT, raw, int8", ".tflite", {**_IN_LITERT, "int8": True}, "litert", _LITERT,
              "export/test_litert_file.py::test_eight_bits_leave_sensitive_layers_in_float32"),
    FormatRow("Core ML, decoded", ".mlpackage", {"format": "coreml", "cut": "decoded", "dynamic": "none"}, None,
              ("coremltools",),
              "export/test_coreml_file.py::test_decoded_package_takes_an_image_and_gives_named_arrays",
              note="its program computed in PyTorch, not run on a device"),
    FormatRow("ExecuTorch, raw", ".pte", {**_IN_EXECUTORCH, "cut": "raw"}, "executorch", ("executorch",),
              "export/test_executorch_file.py::test_people_are_those_of_onnx_runtime"),
    FormatRow("ExecuTorch, decoded", ".pte", {**_IN_EXECUTORCH, "cut": "decoded"}, "executorch", ("executorch",),
              "export/test_executorch_file.py::test_other_cuts_have_the_names_of_onnx"),
)  # fmt: skip
