"""A test is skipped only where something is missing that it needs, and the reason names it."""

import ast

from tests.conftest import ROOT

THINGS = (
    *("Chromium", "ffmpeg", "mmcv", "ncnn", "pnnx", "pyarrow", "PyAV", "PyTorch", "pinned torch", "Ray", "rtmlib"),
    *("supervision", "xtcocotools", "extra `dev`", "requirements/labels.txt"),  # packages and programs
    *("onnxruntime-web", "@huggingface/transformers"),  # packages of npm
    *("mlflow", "tensorboard", "wandb"),  # loggers
    *(
        "litert-torch",
        "coremltools",
        "executorch",
        "tensorrt",
        "g++",
        "nvcc",
        "libopencv-dev",
        "headers of ONNX Runtime",
    ),  # for exported files
    *("annotations at", "real images at", "files of other projects at", "published weights at", "model at"),
    *("GPU", "CUDA device", "x86-64", "bfloat16", "IPv6"),  # machines
    *("glibc", "memfd_create", "file sizes", "full device"),  # systems
)
SKIPS = ("skip", "skipif", "importorskip")


def find_reasons():
    """Return the place and the reason of every skip of the tests, without the values in it."""
    for path in sorted((ROOT / "tests").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in SKIPS:
                given = [each.value for each in node.keywords if each.arg == "reason"]
                given += node.args if node.func.attr == "skip" else []
                parts = [part.value for each in given for part in ast.walk(each) if isinstance(part, ast.Constant)]
                yield f"{path.relative_to(ROOT)}:{node.lineno}", " ".join(map(str, parts))


def test_every_reason_names_what_is_missing():
    reasons = dict(find_reasons())
    assert {place: text for place, text in reasons.items() if not any(thing in text for thing in THINGS)} == {}
    assert len(reasons) > 30
