"""Options of the commands as edits: each one changes a config in place, and a run applies them to one copy."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.device import get_device

from rtmo_plugin.config.augmentation import add_augmentations
from rtmo_plugin.config.cache_memory import set_image_cache
from rtmo_plugin.config.config_files import load_config, set_options
from rtmo_plugin.config.custom_data import fill_keypoints_from_data
from rtmo_plugin.config.data_paths import set_data_root
from rtmo_plugin.config.epochs import set_epochs
from rtmo_plugin.config.total_batch import set_total_batch
from rtmo_plugin.errors import ConfigError, MissingPackageError, write_install_line
from rtmo_plugin.number_ranges import BATCH_SIZE, COUNT, GIGABYTES, SEED

Edit = Callable[[Config], None]

# What starts the processes of each launcher, and a variable that it sets in them.
_LAUNCHERS = {
    "pytorch": ("torchrun", "RANK"),
    "slurm": ("srun", "SLURM_PROCID"),
    "mpi": ("mpirun", "OMPI_COMM_WORLD_RANK"),
}
_AMP_WRAPPER = "rtmo_plugin.AutocastOptimWrapper"
_FREEZE_HOOK = "rtmo_plugin.FreezeHook"
_DISTILLATION_HOOK = "rtmo_plugin.DistillationHook"
# Backend and package of each logger; the extra has the name of the package.
_LOGGERS = {
    "tensorboard": ("TensorboardVisBackend", "tensorboard"),
    "wandb": ("rtmo_plugin.WandbBackend", "wandb"),
    "mlflow": ("rtmo_plugin.MLflowBackend", "mlflow"),
    "csv": ("rtmo_plugin.CsvBackend", None),
}
_LEAST_GAIN = 1e-4  # of AP; equal values do not count
_PLAIN_WRAPPERS = ("OptimWrapper", "rtmo_plugin.OptimWrapper", "AmpOptimWrapper", _AMP_WRAPPER)
_GRAPHS, _NO_WAIT = "rtmo_plugin.GraphsHook", "rtmo_plugin.NoWaitHook"


def prepare_config(  # noqa: PLR0913  (the options of a run: every one has a default)
    config: str | Path | Config,
    edits: Iterable[Edit] = (),
    *,
    work_dir: str | Path | None = None,
    data_root: str | Path | None = None,
    launcher: str = "none",
    seed: int | None = None,
    deterministic: bool = False,
    epochs: int | None = None,
    batch_size: int | None = None,
    total_batch: int | None = None,
    cfg_options: Mapping[str, Any] | None = None,
) -> Config:
    """Read a config and apply the options of a run to one copy of it, in this order.

    Args:
        config: Path of a config file, name of a shipped config, checkpoint that carries its config, or a config,
            which is copied.
        edits: Edits and checks of the command, which are applied after them; last come keypoints from the data.
        work_dir: Folder of the run. Default: the config's, or ``work_dirs/NAME``.
        data_root: Folder of all data. Default: the config's.
        launcher: Program that starts several processes: ``none``, ``pytorch``, ``slurm`` or ``mpi``.
        seed: Random seed. Default: the config's.
        deterministic: Whether to use deterministic algorithms only.
        epochs: Number of epochs to which the schedule is scaled, see ``set_epochs``.
        batch_size: Images that each process loads at a time. Default: the config's.
        total_batch: Images in an optimizer step, see ``set_total_batch``.
        cfg_options: Values by dotted key, see ``set_options``.

    Raises:
        UserError: The config, the launcher or an option is wrong.
    """
    if seed is not None:
        SEED.check("seed", seed)
    if epochs is not None and "train_cfg.max_epochs" in (cfg_options or {}):
        raise ConfigError("--epochs and train_cfg.max_epochs are two numbers of epochs: give one of them.")
    cfg = load_config(config)
    run_edits: list[Edit] = [
        partial(set_data_root, data_root=data_root),
        partial(set_work_dir, work_dir=work_dir),
        partial(set_launcher, launcher=launcher),
        partial(set_randomness, seed=seed, deterministic=deterministic),
        partial(set_epochs, epochs=epochs, val_interval=(cfg_options or {}).get("train_cfg.val_interval")),
        partial(set_options, options=cfg_options),
        partial(set_batch_size, batch_size=batch_size),
        partial(set_total_batch, total_batch=total_batch),
    ]
    for edit in (
        *run_edits,
        *edits,
        fill_keypoints_from_data,
    ):  # the last reads annotations: a wrong option is told first
        edit(cfg)
    return cfg


def list_training_edits(  # noqa: PLR0913  (the options of a training)
    *,
    validate: bool,
    patience: int | None,
    cache_gb: float,
    amp: bool,
    compiled: bool,
    graphs: bool | None,
    auto_scale_lr: bool,
    freeze: str | Sequence[str] | None = None,
    teacher: Sequence[str | Path] | None = None,
    augment: str | Sequence[str] | None = None,
) -> list[Edit]:
    """Return the edits for options of training, see ``rtmo_plugin.api.train``.

    Raises:
        ConfigError: Two of the options exclude each other, or ``cache_gb`` is out of range.
    """
    GIGABYTES.check("cache_gb", cache_gb)
    if compiled and graphs:
        raise ConfigError("--compile and --graphs are two ways to run the network faster: choose one of them.")
    edits: list[tuple[Edit, bool]] = [
        (partial(require_sections, names=("train_dataloader", "train_cfg", "optim_wrapper")), True),
        (drop_validation, not validate),
        (partial(stop_early, patience=patience), True),
        (partial(freeze_in_training, parts=freeze), True),
        (partial(set_teacher, teacher=teacher), True),
        (partial(add_augmentations, names=augment), True),
        (partial(set_image_cache, gigabytes=cache_gb), cache_gb > 0),
        (enable_amp, amp),
        (enable_compilation, compiled),
        (partial(choose_graphs, graphs=graphs, compiled=compiled), True),
        (enable_lr_scaling, auto_scale_lr),
    ]
    return [edit for edit, is_wanted in edits if is_wanted]


def require_sections(cfg: Config, names: tuple[str, ...]) -> None:
    """Check that ``cfg`` has the sections ``names``.

    Raises:
        ConfigError: One is missing.
    """
    missing = [name for name in names if cfg.get(name) is None]
    if missing:
        raise ConfigError(f"{cfg.filename or 'The config'} has no {missing[0]}, which this needs.")


def set_work_dir(cfg: Config, work_dir: str | Path | None) -> None:
    """Set the folder of the run. Default: the config's, or one of its name in ``work_dirs``."""
    name = Path(cfg.filename).stem if cfg.filename else "run"
    cfg.work_dir = str(work_dir or cfg.get("work_dir") or Path("work_dirs", name))


def set_launcher(cfg: Config, launcher: str) -> None:
    """Set the program that started the processes of this run.

    Raises:
        ConfigError: The launcher is unknown, did not start this process, or needs GPUs that this machine does not have.
    """
    cfg.launcher = launcher
    if launcher == "none":
        return
    if launcher not in _LAUNCHERS:
        raise ConfigError(f"The launcher {launcher!r} is unknown: choose none, {', '.join(_LAUNCHERS)}.")
    program, variable = _LAUNCHERS[launcher]
    if variable not in os.environ:
        raise ConfigError(f"--launcher {launcher} is for processes that {program} starts, and {variable} is not set.")
    if get_device() == "cpu" and launcher != "pytorch":
        raise ConfigError(f"--launcher {launcher} needs GPUs, which are missing: on CPUs use torchrun and pytorch.")


def set_randomness(cfg: Config, seed: int | None, deterministic: bool) -> None:
    """Set the random seed, and whether algorithms must be deterministic. Default: the config's values."""
    if seed is not None or deterministic:
        cfg.randomness = dict(cfg.get("randomness") or {}, seed=seed, deterministic=deterministic)


def set_batch_size(cfg: Config, batch_size: int | None) -> None:
    """Set the number of training images that each process loads at a time. Default: the config's value.

    Raises:
        ConfigError: ``batch_size`` is not a number of images, or the config has no training data.
    """
    if batch_size is None:
        return
    BATCH_SIZE.check("batch_size", batch_size)
    require_sections(cfg, ("train_dataloader",))
    cfg.train_dataloader.batch_size = batch_size


def drop_validation(cfg: Config) -> None:
    """Remove validation from the training."""
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None


def stop_early(cfg: Config, patience: int | None) -> None:
    """End the training when AP has not grown in the last ``patience`` validations. Default: never.

    Raises:
        ConfigError: The training has no validation, or ``patience`` is not a number of validations.
    """
    if patience is None:
        return
    COUNT.check("patience", patience)
    if not cfg.get("val_dataloader"):
        raise ConfigError("--patience counts validations, and this training has none.")
    hook = {"type": "rtmo_plugin.ResumableEarlyStoppingHook", "patience": patience, "min_delta": _LEAST_GAIN}
    cfg.custom_hooks = [*(cfg.get("custom_hooks") or []), hook]


def freeze_in_training(cfg: Config, parts: str | Sequence[str] | None) -> None:
    """Freeze parts of the model, see ``FreezeHook``. Default: those of the config.

    Args:
        cfg: Config to edit.
        parts: Names of modules, as a sequence or separated by commas; they replace those of the config.

    Raises:
        ConfigError: ``parts`` or a name in it is empty.
    """
    if parts is None:
        return
    names = [name.strip() for name in (parts.split(",") if isinstance(parts, str) else parts)]
    if not names or not all(names):
        raise ConfigError("--freeze takes names of parts with commas between them, such as backbone,neck.")
    others = [hook for hook in cfg.get("custom_hooks") or [] if hook.get("type") != _FREEZE_HOOK]
    cfg.custom_hooks = [*others, {"type": _FREEZE_HOOK, "parts": list(dict.fromkeys(names))}]


def set_teacher(cfg: Config, teacher: Sequence[str | Path] | None) -> None:
    """Train with a teacher, see ``DistillationHook``. Default: that of the config, if it has one.

    Args:
        cfg: Config to edit.
        teacher: Config and checkpoint of the teacher, which replace those of the config.

    Raises:
        ConfigError: These are not two.
    """
    if teacher is None:
        return
    if isinstance(teacher, str) or len(teacher) != 2:
        raise ConfigError(f"The teacher is a config and a checkpoint, got {teacher!r}.")
    hook = {"type": _DISTILLATION_HOOK, "config": str(teacher[0]), "checkpoint": str(teacher[1])}
    hooks = cfg.get("custom_hooks") or []
    loss = [{"loss": each["loss"]} for each in hooks if each.get("type") == _DISTILLATION_HOOK and "loss" in each]
    others = [each for each in hooks if each.get("type") != _DISTILLATION_HOOK]
    cfg.custom_hooks = [*others, {**hook, **(loss[0] if loss else {})}]


def read_loggers(names: str | Sequence[str] | None) -> list[str]:
    """Return the backends of loggers.

    Args:
        names: ``tensorboard``, ``wandb``, ``mlflow`` or ``csv``, as a sequence or separated by commas. Default: none.

    Raises:
        ConfigError: A name is unknown.
        MissingPackageError: The package of a logger is not installed.
    """
    backends = []
    for name in dict.fromkeys(names.split(",") if isinstance(names, str) else names or ()):
        if name not in _LOGGERS:
            raise ConfigError(f"--logger {name!r} is unknown: choose among {', '.join(_LOGGERS)}.")
        backend, package = _LOGGERS[name]
        if package and importlib.util.find_spec(package) is None:
            raise MissingPackageError(
                f"--logger {name} needs the package {package}, which is not installed: {write_install_line(package)}"
            )
        backends.append(backend)
    return backends


def add_loggers(cfg: Config, backends: Sequence[str]) -> None:
    """Send the numbers of a training to more backends than those of the config.

    Args:
        cfg: Config to edit.
        backends: Backends of ``read_loggers``.
    """
    visualizer = cfg.get("visualizer") or {"type": "PoseLocalVisualizer", "vis_backends": [{"type": "LocalVisBackend"}]}
    known = [dict(each) for each in visualizer.get("vis_backends") or ()]
    new = [{"type": name} for name in backends if all(name != each.get("type") for each in known)]
    cfg.visualizer = {**visualizer, "vis_backends": [*known, *new]}


def enable_amp(cfg: Config) -> None:
    """Train in half precision.

    Raises:
        ConfigError: The config has an optimizer wrapper of its own.
    """
    wrapper = dict(cfg.optim_wrapper)
    if wrapper.get("type", "OptimWrapper") not in _PLAIN_WRAPPERS:
        raise ConfigError(f"--amp cannot be combined with optim_wrapper.type={wrapper['type']!r} of the config.")
    if not isinstance(wrapper.get("loss_scale"), dict):  # MMEngine's wrapper also takes "dynamic" and numbers
        wrapper.pop("loss_scale", None)
    cfg.optim_wrapper = {**wrapper, "type": _AMP_WRAPPER}


def enable_compilation(cfg: Config) -> None:
    """Compile the network, see ``CompileHook``."""
    cfg.custom_hooks = [*(cfg.get("custom_hooks") or []), {"type": "rtmo_plugin.CompileHook"}]


def choose_graphs(cfg: Config, graphs: bool | None, compiled: bool) -> None:
    """Run the network as CUDA graphs, and wait for nothing around them, see ``GraphsHook`` and ``NoWaitHook``.

    Args:
        cfg: Config of a training.
        graphs: Whether to use both; None uses them on GPUs, or the second one alone if the network is compiled.
        compiled: Whether the network is compiled.
    """
    hooks = list(cfg.get("custom_hooks") or [])
    wanted = [_GRAPHS, _NO_WAIT] if graphs else []
    if graphs is None and get_device() == "cuda":
        wanted = [_NO_WAIT] if compiled else [_GRAPHS, _NO_WAIT]
    if graphs is False:
        hooks = [hook for hook in hooks if hook.get("type") not in (_GRAPHS, _NO_WAIT)]
    present = [hook.get("type") for hook in hooks]
    cfg.custom_hooks = [*hooks, *({"type": name} for name in wanted if name not in present)]


def enable_lr_scaling(cfg: Config) -> None:
    """Scale the learning rate to the actual batch size.

    Raises:
        ConfigError: The config does not say for which batch size its learning rate is.
    """
    if "base_batch_size" not in (cfg.get("auto_scale_lr") or {}):
        raise ConfigError("--auto-scale-lr needs auto_scale_lr.base_batch_size, and the config does not have it.")
    cfg.auto_scale_lr = dict(cfg.auto_scale_lr, enable=True)
