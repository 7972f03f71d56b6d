"""CUDA graphs in training, for the parts of the model whose shapes do not depend on the number of people."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from rtmo_plugin.engine.captured_network import CapturedNetwork, find_obstacle
from rtmo_plugin.engine.recordings import CUDARecorder, Recorder
from rtmo_plugin.registry import HOOKS


@HOOKS.register_module()
class GraphsHook(Hook):
    """Train with backbone, neck and the head's convolutions as CUDA graphs (see ``CapturedNetwork``).

    Where that is not possible, a warning says why, and training goes on without them. ``rtmo train`` adds this hook on
    GPUs.

    Args:
        recorder: Way to record the network. Default: CUDA graphs.
    """

    priority = "VERY_LOW"  # after hooks that change the network, as CompileHook

    def __init__(self, recorder: Recorder | None = None) -> None:
        self._recorder = recorder or CUDARecorder()

    def before_train(self, runner: Runner) -> None:
        """Let the model compute its features by graphs; nothing is recorded yet."""
        model: Any = getattr(runner.model, "module", runner.model)
        device = next(model.parameters()).device
        obstacle = self._recorder.find_obstacle(device) or find_obstacle(model)
        if obstacle is not None:
            runner.logger.warning(f"CUDA graphs are not used: {obstacle}.")
            return
        runner.logger.info(
            "CUDA graphs are used (--no-graphs: train without). The first step with each image size records the "
            "network, compares the recording with the network itself, and takes longer."
        )
        model.extract_feat = CapturedNetwork(model, self._recorder, runner.logger.warning)

    def after_train(self, runner: Runner) -> None:
        """Give the model back its own way to compute features."""
        model: Any = getattr(runner.model, "module", runner.model)
        if vars(model).pop("extract_feat", None) is not None:
            self._recorder.release()
