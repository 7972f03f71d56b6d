"""``torch.compile`` in training, for the parts of the model whose shapes do not depend on the number of people."""

from __future__ import annotations

from functools import reduce
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.utils import digit_version
from torch import nn

from rtmo_plugin.errors import ConfigError
from rtmo_plugin.registry import HOOKS

OLDEST = "2.6"  # PyTorch version; 2.1 fails in its tracer, 2.13 works
NETWORK = ("backbone", "neck", "head.head_module")
_MAX_SIZES = 64  # image sizes compiled before torch falls back to eager mode: 11 in training, others in validation


@HOOKS.register_module()
class CompileHook(Hook):
    """Train with a compiled network (see ``compile_network``).

    Args:
        **options: Arguments of ``torch.compile``, such as ``mode="max-autotune-no-cudagraphs"``.
    """

    def __init__(self, **options: Any) -> None:
        self._options = options

    def before_train(self, runner: Runner) -> None:
        """Compile the network; the moving average has copied the model before.

        Raises:
            ConfigError: See ``compile_network``.
        """
        runner.logger.info("torch.compile: the first steps with each image size compile and take longer.")
        compile_network(getattr(runner.model, "module", runner.model), **self._options)


def compile_network(model: nn.Module, **options: Any) -> None:
    """Compile backbone, neck and the head's convolutions in place, when they are first called.

    Parameter names and checkpoints do not change.  Assignment, classifier and losses are not compiled, since each
    number of people would compile them again.  Each image size is compiled separately (``dynamic=False``), because
    PyTorch 2.13 cannot sort the strides of channels-last maps of dynamic size.
    https://docs.pytorch.org/docs/stable/generated/torch.compile.html

    Args:
        model: Model with at least one of these parts.
        **options: Arguments of ``torch.compile``.

    Raises:
        ConfigError: The model has none of these parts, or compiling fails, as without a C++ compiler or before
            PyTorch 2.6.
    """
    if digit_version(torch.__version__) < digit_version(OLDEST):
        raise ConfigError(
            f"torch.compile needs PyTorch {OLDEST} or newer, and this is {torch.__version__}: train without --compile."
        )
    options = {"dynamic": False, **options}
    network: Any = model
    found = (reduce(lambda part, step: getattr(part, step, None), name.split("."), network) for name in NETWORK)
    parts: list[Any] = [part for part in found if part is not None]
    if not parts:
        raise ConfigError(f"torch.compile: the model has none of {', '.join(NETWORK)}.")
    _check_compiler(next(model.parameters()).device, options)
    config: Any = torch._dynamo.config
    limit = "recompile_limit" if hasattr(config, "recompile_limit") else "cache_size_limit"  # the older name
    setattr(config, limit, max(getattr(config, limit), _MAX_SIZES))
    for part in parts:
        part.compile(**options)


def _check_compiler(device: torch.device, options: dict[str, Any]) -> None:
    """Compile a small function, so that a missing compiler is reported before the data are loaded."""
    try:
        square: Any = torch.compile(torch.square, **options)
        square(torch.ones(2, device=device))
    except (RuntimeError, TypeError) as error:  # torch wraps the errors of backends in a RuntimeError
        lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        reason = " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]  # "backend='inductor' raised:"
        raise ConfigError(f"torch.compile does not work here, train without --compile: {reason}") from error
