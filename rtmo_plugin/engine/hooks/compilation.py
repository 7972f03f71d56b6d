"""``torch.compile`` in training, of the part of a model whose shapes do not depend on who is in the images."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.utils import digit_version
from torch import nn

from rtmo_plugin.errors import ConfigError
from rtmo_plugin.registry import HOOKS

OLDEST = "2.6"  # of PyTorch; 2.1 fails within its tracer, 2.13 was tried
NETWORK = ("backbone", "neck", "head.head_module")
_MAX_SIZES = 64  # that are compiled before torch falls back to its interpreter: eleven in training, and those of tests


@HOOKS.register_module()
class CompileHook(Hook):
    """Train with a compiled network; see ``compile_network``.

    Args:
        **options: Arguments of ``torch.compile``, such as ``mode="max-autotune-no-cudagraphs"``.
    """

    def __init__(self, **options: Any) -> None:
        self._options = options

    def before_train(self, runner: Runner) -> None:
        """Compile the network; before this the moving average has made its copy of the model.

        Raises:
            ConfigError: See ``compile_network``.
        """
        runner.logger.info("torch.compile: the first steps, and those of other image sizes, compile and take longer.")
        compile_network(getattr(runner.model, "module", runner.model), **self._options)


def compile_network(model: nn.Module, **options: Any) -> None:
    """Have backbone, neck and the head's convolutions compiled when they are first called.

    It is done in place: names of weights and what checkpoints hold stay as they are.  Assignment, classifier
    and losses are left out, since they would be compiled again for each number of people.  Each image size is
    compiled for itself: of channels-last maps whose size may change, PyTorch 2.13 cannot sort the strides.
    https://docs.pytorch.org/docs/stable/generated/torch.compile.html

    Args:
        model: Model with at least one of these parts.
        **options: Arguments of ``torch.compile``.

    Raises:
        ConfigError: There is nothing to compile, or no way to, as without a C++ compiler or before PyTorch 2.6.
    """
    if digit_version(torch.__version__) < digit_version(OLDEST):
        raise ConfigError(
            f"torch.compile needs PyTorch {OLDEST} or newer, and this is {torch.__version__}: leave it out."
        )
    options = {"dynamic": False, **options}
    parts = [part for part in (_find_part(model, name) for name in NETWORK) if part is not None]
    if not parts:
        raise ConfigError(f"torch.compile: the model has none of {', '.join(NETWORK)}.")
    _check_compiler(next(model.parameters()).device, options)
    _allow_recompiling()
    for part in parts:
        part.compile(**options)


def _find_part(model: nn.Module, name: str) -> nn.Module | None:
    part: nn.Module | None = model
    for step in name.split("."):
        part = getattr(part, step, None)
    return part


def _check_compiler(device: torch.device, options: dict[str, Any]) -> None:
    """Compile something small, so that what is missing shows before the data are loaded."""
    try:
        square: Any = torch.compile(torch.square, **options)
        square(torch.ones(2, device=device))
    except (RuntimeError, TypeError) as error:  # whatever a backend raises, torch wraps in a RuntimeError
        lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        reason = " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]  # "backend='inductor' raised:"
        raise ConfigError(f"torch.compile does not work here, leave it out: {reason}") from error


def _allow_recompiling() -> None:
    config: Any = torch._dynamo.config
    name = "recompile_limit" if hasattr(config, "recompile_limit") else "cache_size_limit"  # as it was called
    setattr(config, name, max(getattr(config, name), _MAX_SIZES))
