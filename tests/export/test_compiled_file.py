"""Packages of AOTInductor: compiled here, compared with PyTorch, opened without compiling, refused with a reason."""

import os
import shutil
import zipfile

import numpy as np
import pytest
import torch
from torch import _inductor as inductor
from torch.utils import cpp_extension

from rtmo_plugin.api import export
from rtmo_plugin.errors import ConfigError, DataError, ExportError
from rtmo_plugin.export.writers import compiled_file
from rtmo_plugin.export.writers.compiled_file import add_metadata, check_toolkit, explain_compiler, write_compiled
from rtmo_plugin.export.writers.torch_files import write_program
from rtmo_plugin.runtime import trusted_files
from rtmo_plugin.runtime.engines import torch_archive
from rtmo_plugin.runtime.exported_model import ExportedModel
from tests.export.test_onnx_file import make_info, make_options

IMAGE = np.random.default_rng(0).integers(0, 256, (70, 50, 3), np.uint8)
HAS_COMPILER = shutil.which("g++") is not None and hasattr(inductor, "aoti_compile_and_package")
needs_compiler = pytest.mark.skipif(not HAS_COMPILER, reason="AOTInductor needs g++ and PyTorch 2.6")


@pytest.fixture(autouse=True)
def _own_trust(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def write(write_format, model, path):
    options = make_options(cut="decoded", top_k=30)
    return write_format(model, path, options, make_info(model, options))


@pytest.mark.slow
@needs_compiler
def test_a_package_finds_the_people_of_an_exported_program(tiny, tmp_path, monkeypatch):
    package, program = tmp_path / "compiled.pt2", tmp_path / "program.pt2"
    found = write(write_compiled, tiny, package)
    assert (found.num_images, found.num_people) == (5, 5 * 30)
    assert 0 < found.keypoint < 1
    write(write_program, tiny, program)
    assert [torch_archive.TorchArchive.read(path).is_compiled for path in (package, program)] == [True, False]
    monkeypatch.setattr(inductor, "aoti_compile_and_package", None)  # opening compiles nothing
    compiled, plain = ExportedModel(package), ExportedModel(program)
    assert compiled.info == plain.info
    images = [IMAGE, IMAGE[:30], IMAGE[:, :20]]
    for ours, others in zip(compiled.predict_batch(images), plain.predict_batch(images), strict=True):
        assert len(ours) > 0
        np.testing.assert_allclose(ours.scores, others.scores, rtol=0, atol=1e-4)
        np.testing.assert_allclose(ours.keypoints, others.keypoints, rtol=0, atol=0.1)
    with pytest.raises(ConfigError, match="is compiled, and computes in float32: leave out bfloat16"):
        ExportedModel(package, precision="bfloat16")
    trusted_files.locate_list().unlink()
    with pytest.raises(ConfigError, match="holds code that runs when PyTorch opens it"):
        ExportedModel(package)


@pytest.mark.gpu
@needs_compiler
@pytest.mark.skipif(cpp_extension.CUDA_HOME is None, reason="AOTInductor needs nvcc")
@pytest.mark.parametrize("half", [False, True])
def test_a_package_for_a_gpu_finds_the_people_of_the_cpu(tiny, tmp_path, half):
    options = make_options(cut="decoded", top_k=30, device="cuda", half=half)
    info, package, program = make_info(tiny, options), tmp_path / "compiled.pt2", tmp_path / "program.pt2"
    write_compiled(tiny, package, options, info)
    write(write_program, tiny, program)
    (ours,) = ExportedModel(package, device="cuda").predict_batch([IMAGE])
    (others,) = ExportedModel(program).predict_batch([IMAGE])
    limit = 0.01 if half else 1e-3
    np.testing.assert_allclose(ours.scores[0], others.scores[0], rtol=0, atol=limit)
    with pytest.raises(ConfigError, match="is compiled for cuda, and the device is cpu"):
        ExportedModel(package)


def test_machine_code_is_told_by_the_entries_and_never_opened_without_trust(tiny, tmp_path):
    options = make_options(cut="decoded", top_k=30)
    path = tmp_path / "other.pt2"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/data/aotinductor/model/code.so", b"no machine code")
    add_metadata(path, {**make_info(tiny, options).to_strings(), "output_names": "dets,labels,keypoints"})
    archive = torch_archive.TorchArchive.read(path)
    assert archive.is_compiled
    assert archive.info.cut == "decoded"
    with pytest.raises(ConfigError, match="if you trust where it comes from"):
        ExportedModel(path)
    with pytest.raises(DataError, match=r"cannot be opened: it is damaged, or was compiled for another version"):
        ExportedModel(path, trust=True)


def test_what_cannot_be_compiled_is_refused_before_anything_is_written(tiny, tmp_path, monkeypatch):
    path = tmp_path / "model.pt2"
    for changes, reason in (
        ({"cut": "decoded", "dynamic": ("size",)}, "takes one size"),
        ({"cut": "decoded", "device": "cuda:99"}, "--device cuda:99 cannot be used here"),
    ):
        options = make_options(**changes)
        with pytest.raises(ConfigError, match=reason):
            write_compiled(tiny, path, options, make_info(tiny, options))
    missing = torch._inductor.config.patch({"cpp.cxx": ("no-such-compiler",)})
    with missing, pytest.raises(ConfigError, match=r"there is none: install g\+\+, or name one in the variable CXX"):
        write(write_compiled, tiny, path)
    monkeypatch.delattr(inductor, "aoti_compile_and_package")
    with pytest.raises(ConfigError, match=r"--format aoti needs PyTorch 2\.6 or newer"):
        write(write_compiled, tiny, path)
    assert not path.exists()


@needs_compiler
def test_a_compiler_that_fails_is_quoted(tmp_path, monkeypatch):
    compiler = tmp_path / "compiler"
    compiler.write_text(
        '#!/bin/sh\ncase "$*" in *--version*) exec g++ "$@";; esac\necho "ld: cannot find -lcuda" >&2\nexit 1\n'
    )
    compiler.chmod(0o755)
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    failing = torch._inductor.config.patch({"cpp.cxx": (str(compiler),)})
    program = torch.export.export(torch.nn.Linear(2, 2), (torch.ones(1, 2),))
    words = r"the C\+\+ compiler failed: ld: cannot find -lcuda$"
    with failing, pytest.raises(ExportError, match=words), explain_compiler():
        inductor.aoti_compile_and_package(program, package_path=str(tmp_path / "model.pt2"))


def test_a_gpu_needs_cudas_toolkit(monkeypatch):
    monkeypatch.setattr(cpp_extension, "CUDA_HOME", None)
    with pytest.raises(ConfigError, match=r"with CUDA's toolkit, and there is none: .* the variable CUDA_HOME"):
        check_toolkit()
    monkeypatch.setattr(cpp_extension, "CUDA_HOME", "/opt/cuda")
    for name, expected in ((None, "/opt/cuda"), ("/own", "/own")):
        if name is None:
            monkeypatch.setenv("CUDA_HOME", "")
            monkeypatch.delenv("CUDA_HOME")
        else:
            monkeypatch.setenv("CUDA_HOME", name)
        check_toolkit()
        assert os.environ["CUDA_HOME"] == expected


@needs_compiler
def test_nms_and_eight_bits_are_refused(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(compiled_file, "check_compiler", lambda: None)
    options = make_options()
    with pytest.raises(ConfigError, match="cannot hold NMS: export it with --cut decoded"):
        write_compiled(tiny, tmp_path / "model.pt2", options, make_info(tiny, options))


def test_a_device_is_for_this_format_alone(tmp_path):
    with pytest.raises(ConfigError, match="--device is for --format aoti and engine"):
        export("rtmo-t_coco", "missing.pth", tmp_path / "model.onnx", device="cuda")
