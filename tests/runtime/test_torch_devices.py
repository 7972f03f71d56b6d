"""Files of PyTorch on another device than that on which they were written."""

import io

import pytest
import torch

from rtmo_plugin.api import export
from rtmo_plugin.runtime.engines.torch_runtime import _move_program, _move_script
from rtmo_plugin.runtime.exported_model import ExportedModel
from tests.tiny_files import make_image

OTHER = torch.device("meta")  # has every CPU, and refuses operators with tensors of both


class Numbering(torch.nn.Module):
    """Adds its number to each row: from a tensor that is made in every call, as priors and bins are."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(1))

    def forward(self, rows):
        return rows * self.scale + torch.arange(rows.shape[0], device=rows.device)


ROWS = torch.ones(3)
MODEL = torch.nn.Sequential(Numbering(), Numbering())


def test_an_exported_program_makes_its_tensors_on_the_device():
    program = torch.export.export(MODEL, (ROWS,))
    with pytest.raises(RuntimeError, match=r"not on the expected device|same device"):
        program.module().to(OTHER)(ROWS.to(OTHER))
    assert _move_program(program, OTHER).module()(ROWS.to(OTHER)).device == OTHER


def test_a_traced_module_makes_its_tensors_on_the_device():
    content = io.BytesIO()
    torch.jit.save(torch.jit.trace(MODEL, (ROWS,)), content)
    content.seek(0)
    script = torch.jit.load(content, map_location=OTHER)
    _move_script(script, OTHER)
    assert 'Device = prim::Constant[value="cpu"]' not in str(script.inlined_graph)
    assert script(ROWS.to(OTHER)).device == OTHER


@pytest.mark.gpu
@pytest.mark.parametrize("suffix", [".pt", ".pt2"])
def test_files_of_a_cpu_find_the_same_people_on_a_gpu(tiny_model, tmp_path, suffix):
    path = tmp_path / f"model{suffix}"
    export(*tiny_model, path, format={".pt": "torchscript", ".pt2": "pt2"}[suffix], cut="decoded", top_k=30)
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        found, expected = (ExportedModel(path, device=device).predict(make_image()) for device in ("cuda", "cpu"))
    assert found.scores[:5].tolist() == pytest.approx(expected.scores[:5].tolist(), abs=1e-3)
