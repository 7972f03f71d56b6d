"""Parameters in few groups: those with the same options make one step of the optimizer together.

MMEngine's constructors put each parameter into a group of its own, 278 in RTMO-s, and an optimizer works group by
group: thousands of operators where a handful do.  Here the groups are those of such a constructor, merged where
all options are equal.  Checkpoints keep one group per parameter, in the model's order, as MMEngine writes them:
so each side resumes what the other wrote.
"""

from __future__ import annotations

import inspect
from typing import Any

from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS as CONSTRUCTORS
from mmengine.registry import OPTIMIZERS
from torch import nn

from rtmo_plugin.checkpoints.optimizer_state import follow_weights, merge_groups
from rtmo_plugin.registry import OPTIM_WRAPPER_CONSTRUCTORS


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class MergingOptimWrapperConstructor:
    """Build an optimizer whose parameters are grouped by their options.

    The rates and decays are those of another constructor, value by value.  The optimizer is fused where torch has
    such a one for it and for the device of the model.

    Args:
        optim_wrapper_cfg: Config of the wrapper, with its ``optimizer``.
        paramwise_cfg: Rules of rates and decays; ``rules`` names the constructor that reads them, by default MMPose's
            ``ForceDefaultOptimWrapperConstructor``.
    """

    def __init__(self, optim_wrapper_cfg: dict[str, Any], paramwise_cfg: dict[str, Any] | None = None) -> None:
        rules = dict(paramwise_cfg or {})
        name = rules.pop("rules", "mmpose.ForceDefaultOptimWrapperConstructor")
        self._config = optim_wrapper_cfg
        self._rules = {"type": name, "paramwise_cfg": rules}

    def __call__(self, model: nn.Module) -> OptimWrapper:
        """Return the optimizer wrapper of a model."""
        config = self._config["optimizer"]
        kind = config["type"] if isinstance(config["type"], type) else OPTIMIZERS.get(config["type"])
        is_open = config.get("fused") is None and not config.get("foreach") and not config.get("differentiable")
        has_fused = is_open and kind is not None and "fused" in inspect.signature(kind).parameters
        wrapper = self._build(model, fused=has_fused)
        if len(wrapper.optimizer.param_groups) > 1:
            wrapper.optimizer.param_groups = merge_groups(wrapper.optimizer.param_groups)
        follow_weights(wrapper.optimizer)
        return wrapper

    def _build(self, model: nn.Module, fused: bool) -> OptimWrapper:
        config = {**self._config, "optimizer": {**self._config["optimizer"], **({"fused": True} if fused else {})}}
        try:
            return CONSTRUCTORS.build({**self._rules, "optim_wrapper_cfg": config})(model)
        except RuntimeError as error:
            if not fused or "fused" not in str(error):  # what torch says where a device has no fused step
                raise
            return self._build(model, fused=False)
