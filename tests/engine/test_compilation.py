"""A compiled network: the same losses, gradients and checkpoints, and a sentence where nothing can be compiled."""

import logging
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmengine.utils import digit_version

from rtmo_plugin.engine.hooks.compilation import NETWORK, OLDEST, compile_network
from rtmo_plugin.errors import ConfigError
from rtmo_plugin.registry import HOOKS
from tests.oracle import OUR_CONFIGS
from tests.tiny import shrink

is_old = digit_version(torch.__version__) < digit_version(OLDEST)
pytestmark = pytest.mark.skipif(is_old, reason=f"torch.compile is refused before PyTorch {OLDEST}")
QUICK = {"backend": "aot_eager"}  # traces forward and backward as the default does, and needs no compiler


def make_model():
    init_default_scope("mmpose")
    torch.manual_seed(0)
    return MODELS.build(shrink(Config.fromfile(OUR_CONFIGS / "rtmo-t_coco.py").model)).train().double()


def compile_by_hook(model, **options):
    hook = HOOKS.build({"type": "rtmo_plugin.CompileHook", **options})
    hook.before_train(SimpleNamespace(model=model, logger=logging.getLogger("tests")))
    return model


def compute_maps(model, size):
    """Return everything that the head makes of random images, and the gradients of its squares."""
    torch.manual_seed(1)
    images = torch.rand(2, 3, *size).double()
    model.zero_grad()
    maps = [each for level in model.head.head_module(model.neck(model.backbone(images))) for each in level]
    sum(each.square().mean() for each in maps).backward()
    return maps, [weight.grad for weight in model.parameters() if weight.grad is not None]


def check_maps(sizes, **options):
    """Compare maps and gradients of a plain and a compiled model at several sizes."""
    plain, compiled = make_model(), compile_by_hook(make_model(), **options)
    for size in sizes:
        for expected, found in zip(compute_maps(plain, size), compute_maps(compiled, size), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.slow
def test_maps_and_gradients_stay():
    check_maps([(64, 64)], **QUICK)


def test_maps_and_gradients_of_a_captured_network_stay():
    check_maps([(64, 64)], backend="eager")  # captured like QUICK, and quicker


@pytest.mark.slow
def test_maps_and_gradients_stay_where_sizes_follow_each_other():
    check_maps([(64, 64), (96, 64), (128, 96), (64, 64)], backend="eager")


def test_more_sizes_are_compiled_than_torch_allows_by_itself():
    sizes = []

    def note(graph, inputs):
        sizes.extend(each.shape for each in inputs if each.dim() == 4)
        return graph

    class Neck(torch.nn.Module):
        def forward(self, images):
            return images.square()

    model = torch.nn.ModuleDict({"neck": Neck(), "head": torch.nn.Linear(1, 1)})
    compile_network(model, backend=note)
    for size in (8, *range(8, 20)):
        model.neck(torch.rand(1, 3, size, size))
    assert [tuple(size) for size in sizes] == [(1, 3, size, size) for size in range(8, 20)]


def test_the_parts_are_compiled_in_place():
    plain, compiled = make_model(), compile_by_hook(make_model(), **QUICK)
    assert all(compiled.get_submodule(name)._compiled_call_impl is not None for name in NETWORK)
    assert list(compiled.state_dict()) == list(plain.state_dict())


def test_a_model_wrapped_for_several_processes_is_compiled_inside():
    model = make_model()
    compile_by_hook(SimpleNamespace(module=model), **QUICK)
    assert model.backbone._compiled_call_impl is not None


def test_a_machine_without_compiler_is_told_before_training():
    """In a process of its own: PyTorch looks for a compiler once."""
    code = "import torch; from rtmo_plugin.engine.hooks import compilation as c; c.compile_network({})"
    model = "torch.nn.ModuleDict({'neck': torch.nn.Linear(1, 1)})"
    without = {"CXX": "/nowhere/c++", "TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1"}
    command = [sys.executable, "-c", code.format(model)]
    done = subprocess.run(command, env={**os.environ, **without}, capture_output=True, text=True, check=False)
    assert "ConfigError: torch.compile does not work here, train without --compile: " in done.stderr
    assert "ompiler" in done.stderr.splitlines()[-1]


def test_an_unknown_backend_is_told_before_training():
    with pytest.raises(ConfigError, match=r"train without --compile: .*no-such"):
        compile_network(make_model(), backend="no-such")


def test_a_model_without_these_parts_is_refused():
    with pytest.raises(ConfigError, match=r"none of backbone, neck, head\.head_module"):
        compile_network(torch.nn.Linear(2, 2), **QUICK)


def test_an_old_torch_is_refused(monkeypatch):
    monkeypatch.setattr(torch, "__version__", "2.1.2")
    with pytest.raises(ConfigError, match=r"needs PyTorch 2\.6 or newer, and this is 2\.1\.2"):
        compile_network(make_model())
