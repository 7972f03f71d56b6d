"""MMEngine's Runner as the tools use it: quiet on the terminal, careful with configs and checkpoints."""

from __future__ import annotations

import os
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.logging import MessageHub, MMLogger
from mmengine.optim import OptimWrapperDict
from mmengine.runner import EpochBasedTrainLoop, Runner
from mmengine.visualization import Visualizer
from torch import nn
from torch.utils.data import DataLoader

from rtmo_plugin.checkpoints.contents import check_readable, make_plain
from rtmo_plugin.checkpoints.fit import check_optimizer_fits
from rtmo_plugin.checkpoints.optimizer_state import (
    drop_parameters,
    follow_weights,
    is_merged,
    merge_checkpoint,
    split_checkpoint,
)
from rtmo_plugin.engine.console import quieten
from rtmo_plugin.engine.distribution import join_processes, wrap_for_cpus
from rtmo_plugin.engine.hooks.freezing import find_frozen_parts, freeze_parts
from rtmo_plugin.engine.hooks.memory_format import CHANNELS_LAST_HOOK
from rtmo_plugin.engine.hooks.missed_validation import MissedValidationHook
from rtmo_plugin.engine.hooks.process_buffers import ProcessBuffersHook
from rtmo_plugin.engine.hooks.progress import ProgressBarHook
from rtmo_plugin.engine.interruption import StopInValidationHook
from rtmo_plugin.engine.memory import WorkerSetup, keep_freed_memory
from rtmo_plugin.engine.resumed_schedule import PlannedSchedule
from rtmo_plugin.engine.resumed_steps import ScheduleEndHook, continue_as_configured, describe_steps
from rtmo_plugin.engine.shared_cache import share_image_cache
from rtmo_plugin.errors import refuse_config_errors
from rtmo_plugin.files import replace_file

_run_numbers = count()
_REPLACED_HOOKS = {
    "CheckpointHook": "rtmo_plugin.KeepingCheckpointHook",
    "EarlyStoppingHook": "rtmo_plugin.ResumableEarlyStoppingHook",
}


class QuietRunner(Runner):
    """A Runner that prints what is useful, writes checkpoints whole, and keeps to its own log and charts.

    Attributes:
        resumed: Notes of the checkpoint from which a run was resumed.
        steps_an_epoch: Number of steps in an epoch of the data that training begins with.
    """

    steps_an_epoch = 0

    resumed: Mapping[str, Any] = MappingProxyType({})

    def setup_env(self, env_cfg: dict[str, Any]) -> None:
        """Set up the processes as MMEngine does, and those on CPUs before, for it cannot; they share an image cache."""
        if self.distributed and get_device() == "cpu":
            join_processes()
        super().setup_env(env_cfg)
        if self.distributed:
            share_image_cache(self.cfg)

    def set_randomness(self, seed: int | None, diff_rank_seed: bool = False, deterministic: bool = False) -> None:
        """Set seed and algorithms as MMEngine does; an operation without a deterministic form is a warning."""
        if deterministic:  # else PyTorch refuses matrix products on GPUs
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        super().set_randomness(seed, diff_rank_seed, deterministic)
        if deterministic:
            torch.use_deterministic_algorithms(True, warn_only=True)
        if deterministic and get_device() == "cuda":  # fused attention is deterministic only where nothing may warn
            for name in ("enable_flash_sdp", "enable_mem_efficient_sdp", "enable_cudnn_sdp"):
                if hasattr(torch.backends.cuda, name):  # PyTorch 2.1 has no attention by cuDNN
                    getattr(torch.backends.cuda, name)(False)

    def wrap_model(self, model_wrapper_cfg: dict[str, Any] | None, model: nn.Module) -> nn.Module:
        """Freeze parts of the model, and wrap it for several processes as MMEngine does, or for CPUs."""
        freeze_parts(model, find_frozen_parts(self.cfg))
        hooks = [hook for hook in self.cfg.get("custom_hooks") or () if isinstance(hook, Mapping)]
        if any(hook.get("type") == CHANNELS_LAST_HOOK for hook in hooks):
            # Gradients get the memory order that weights have now, and a fused optimizer reads both in memory order.
            model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's types lack it
        if self.distributed and get_device() == "cpu" and model_wrapper_cfg is None:
            return wrap_for_cpus(model, self.cfg)
        wrapped: nn.Module = super().wrap_model(model_wrapper_cfg, model)
        return wrapped

    def build_optim_wrapper(self, optim_wrapper: Any) -> Any:
        """Build the optimizer as MMEngine does, without the weights of frozen parts."""
        wrapper = super().build_optim_wrapper(optim_wrapper)
        model = get_model(self)
        for each in wrapper.values() if isinstance(wrapper, OptimWrapperDict) else (wrapper,):
            follow_weights(each.optimizer)
            for name in find_frozen_parts(self.cfg):
                drop_parameters(each.optimizer, list(model.get_submodule(name).parameters()))
        return wrapper

    def save_checkpoint(self, out_dir: str, filename: str, *args: Any, **kwargs: Any) -> None:
        """Write a draft and move it into place when it is whole: MMEngine leaves half a file when it is killed."""
        if "://" in out_dir:  # a storage server, which keeps the old file itself
            super().save_checkpoint(out_dir, filename, *args, **kwargs)
            return
        if is_main_process():
            with replace_file(Path(out_dir, filename)) as draft:
                super().save_checkpoint(out_dir, draft.name, *args, **kwargs)

    @staticmethod
    def build_dataloader(*args: Any, **kwargs: Any) -> DataLoader[Any]:
        """Build a data loader as MMEngine does; its workers keep freed memory, like this process."""
        loader: DataLoader[Any] = Runner.build_dataloader(*args, **kwargs)
        loader.worker_init_fn = WorkerSetup(loader.worker_init_fn)
        return loader

    def build_train_loop(self, loop: Any) -> Any:
        """Build the loop as MMEngine does; one over epochs can be stopped within an epoch and resumed there."""
        if isinstance(loop, dict) and loop.get("by_epoch") and "type" not in loop:
            loop = {"type": "rtmo_plugin.ResumableTrainLoop", **loop}
            del loop["by_epoch"]
        built = super().build_train_loop(loop)
        if isinstance(built, EpochBasedTrainLoop) and not self.steps_an_epoch:
            self.steps_an_epoch = len(built.dataloader)
        return built

    def register_hook(self, hook: Any, priority: Any = None) -> None:
        """Register a hook as MMEngine does, but our own in place of two that lose files or their state."""
        name = str(hook.get("type")).removeprefix("mmengine.") if isinstance(hook, dict) else ""
        if name in _REPLACED_HOOKS:
            hook = {**hook, "type": _REPLACED_HOOKS[name]}
        super().register_hook(hook, priority)

    def resume(self, filename: str, *args: Any, **kwargs: Any) -> None:
        """Resume as MMEngine does, with the optimizer options and the schedule of the config."""
        if isinstance(self.optim_wrapper, OptimWrapperDict):
            super().resume(filename, *args, **kwargs)
            return
        planned = PlannedSchedule(self.optim_wrapper, self.param_schedulers)
        super().resume(filename, *args, **kwargs)
        continue_as_configured(self, planned)

    # MMEngine keeps loggers, message hubs and visualizers by name for the life of the process, and the names
    # end with the time in seconds: a second run of the same second would write into the first one's files.

    def build_logger(self, *args: Any, **kwargs: Any) -> MMLogger:
        """Build the logger as MMEngine does, for this run alone, and quieten its terminal half."""
        logger = super().build_logger(*args, **{"name": self._name_own("logger"), **kwargs})
        quieten(logger)
        return logger

    def build_message_hub(self, message_hub: Any = None) -> MessageHub:
        """Build the message hub as MMEngine does, for this run alone."""
        return super().build_message_hub({"name": self._name_own("messages"), **(message_hub or {})})

    def build_visualizer(self, visualizer: Any = None) -> Visualizer:
        """Build the visualizer under a name of this run."""
        if isinstance(visualizer, dict):
            visualizer = {**visualizer, "name": self._name_own(visualizer.get("name"))}
        return super().build_visualizer(visualizer)

    def _name_own(self, name: str | None) -> str:
        return f"{name}_{next(_run_numbers)}_{self.timestamp}"


class ReadableCheckpointHook(Hook):
    """Refuses to write a checkpoint that ``read_checkpoint`` would refuse."""

    priority = 100  # after hooks that add their state

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Turn the notes of the run into plain values in place, as MMEngine's hooks do, and check all of it.

        Raises:
            CheckpointError: A value cannot be read back.
        """
        checkpoint["meta"].update(describe_steps(runner))
        if hasattr(runner.optim_wrapper, "optimizer") and "optimizer" in checkpoint:
            split_checkpoint(checkpoint)
        for part in ("meta", "message_hub"):
            checkpoint[part] = make_plain(checkpoint[part])
        check_readable(checkpoint, "")


class CheckpointGuardHook(Hook):
    """Keep from MMEngine what it would take from a checkpoint on trust.

    ``Runner.resume`` runs the text of the config that wrote the file as Python: a file from
    elsewhere could hold any program.  And it gives the optimizer whatever state is in the file.
    """

    priority = "VERY_HIGH"

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Remove the config in place, as MMEngine's hooks do, and check the optimizer's state."""
        if "meta" in checkpoint:
            checkpoint["meta"] = {name: value for name, value in checkpoint["meta"].items() if name != "config"}
        if runner.cfg.get("resume"):
            optimizer = runner.optim_wrapper.optimizer
            split_checkpoint(checkpoint)
            check_optimizer_fits(optimizer, checkpoint["optimizer"])
            if is_merged(optimizer):
                merge_checkpoint(checkpoint, optimizer)
            runner.resumed = dict(checkpoint["meta"], num_schedulers=len(list(checkpoint["param_schedulers"])))


def build_runner(cfg: Config) -> QuietRunner:
    """Build the runner and the model of ``cfg``.

    Raises:
        ConfigError: Something in the config cannot be built.
    """
    keep_freed_memory()
    with refuse_config_errors():
        runner: QuietRunner = QuietRunner.from_cfg(cfg)
        runner.register_hook(CheckpointGuardHook())
        runner.register_hook(ReadableCheckpointHook())
        runner.register_hook(ProgressBarHook())
        runner.register_hook(ScheduleEndHook())
        runner.register_hook(MissedValidationHook())
        runner.register_hook(StopInValidationHook())
        runner.register_hook(ProcessBuffersHook())
    return runner


def get_model(runner: Runner) -> nn.Module:
    """Return the runner's model without the wrapper of distributed training."""
    model: nn.Module = getattr(runner.model, "module", runner.model)
    return model
