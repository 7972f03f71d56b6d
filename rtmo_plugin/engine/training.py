"""Train a model from a config."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import OPTIMIZERS

from rtmo_plugin.checkpoints.contents import check_readable, make_plain
from rtmo_plugin.checkpoints.fit import check_fits
from rtmo_plugin.checkpoints.name_checks import check_checkpoint_names, check_data_names, check_model_names
from rtmo_plugin.checkpoints.reading import check_resumable, locate_checkpoint, read_checkpoint, read_note
from rtmo_plugin.checkpoints.transfer import ADVICE, TransferHook, is_transferable, plan_transfer
from rtmo_plugin.config.cache_memory import set_image_cache
from rtmo_plugin.config.config_files import require
from rtmo_plugin.config.custom_data import describe_flips
from rtmo_plugin.config.data_paths import check_data, check_images
from rtmo_plugin.config.embedded import carries_config
from rtmo_plugin.config.pretrained import drop_pretrained, fetch_pretrained
from rtmo_plugin.engine.console import suppress_library_noise
from rtmo_plugin.engine.hooks.batch_plots import FirstBatchHook
from rtmo_plugin.engine.hooks.curves import CURVES_FILE, CurvesHook
from rtmo_plugin.engine.hooks.divergence import DivergenceHook
from rtmo_plugin.engine.hooks.prediction_plots import PictureHook
from rtmo_plugin.engine.hooks.progress import ProgressBarHook
from rtmo_plugin.engine.interruption import describe_kept
from rtmo_plugin.engine.metric_tables import find_average_precision
from rtmo_plugin.engine.people_count import count_people, note_unused_images
from rtmo_plugin.engine.resuming import continue_seed, find_resumable
from rtmo_plugin.engine.runner import QuietRunner, build_runner, get_model, prepare_config
from rtmo_plugin.engine.work_folder import claim_work_dir, find_replaced
from rtmo_plugin.errors import ConfigError, InterruptedRun, pass_on_interruptions, refuse_config_errors
from rtmo_plugin.files import check_outputs
from rtmo_plugin.number_ranges import GIGABYTES
from rtmo_plugin.wording import show_path

AUTO = "auto"
_AMP_WRAPPER = "rtmo_plugin.AutocastOptimWrapper"
_COMPILE_HOOK = {"type": "rtmo_plugin.CompileHook"}
_PLAIN_WRAPPERS = ("OptimWrapper", "AmpOptimWrapper", _AMP_WRAPPER)


@dataclass(frozen=True)
class TrainResult:
    """Result of a training run.

    Attributes:
        metrics: Metrics of the last validation by name, such as ``coco/AP``; empty without validation.
        checkpoint: Last checkpoint, or None if the run was too short to write one.
        log_dir: Folder with the log, the config and the curves as numbers (``vis_data/scalars.json``); their plot is
            ``curves.png`` in the work folder.
    """

    metrics: Mapping[str, float]
    checkpoint: Path | None
    log_dir: Path

    def __str__(self) -> str:
        precision = find_average_precision(self.metrics)
        curves = self.log_dir.parent / CURVES_FILE
        ap = "not validated" if precision is None else f"{precision:.3f} (last validation)"
        if precision is not None and precision < 0:  # as COCO's tools say
            ap = "no value: the validation data have no people to find"
        lines = {
            "AP": ap,
            "checkpoint": show_path(self.checkpoint) if self.checkpoint else "none was written",
            "log": show_path(self.log_dir),
            **({"curves": show_path(curves)} if curves.is_file() else {}),
        }
        return "\n".join(f"{name + ':':<16}{value}" for name, value in lines.items())


def train(  # noqa: PLR0913  (what the tool offers: every option has a default)
    config: str | Path | Config,
    *,
    resume: str | Path | bool | None = None,
    load_from: str | Path | None = None,
    transfer_from: str | Path | None = None,
    amp: bool = False,
    compiled: bool = False,
    auto_scale_lr: bool = False,
    validate: bool = True,
    from_scratch: bool = False,
    show_dir: str | Path | None = None,
    cache_gb: float = 0,
    overwrite: bool = False,
    **options: Any,
) -> TrainResult:
    """Train the model of ``config``.

    Args:
        config: Path of a config file, or a config.
        resume: Checkpoint to continue from; ``"auto"`` or True for the last one in the work folder, if it has one.
        load_from: Checkpoint whose weights to start from: path, URL or a name such as ``rtmo-s_body7``.
        transfer_from: Checkpoint of a model with other keypoints or classes: the weights of those with the same name
            are taken over, and new ones start from random weights.
        amp: Whether to train in half precision, on CPUs as well.
        compiled: Whether to compile the network, see ``CompileHook``.
        auto_scale_lr: Whether to scale the learning rate to the actual batch size.
        validate: Whether to evaluate during training, as often as the config says.
        from_scratch: Whether to start from random weights, without the pretrained backbone.
        show_dir: Folder for plots of the predictions during validation.
        cache_gb: Memory for decoded training images, 10**9 bytes, of this process and its workers.
        overwrite: Whether to remove the checkpoints of an earlier run in the work folder, when training begins.
        **options: ``work_dir``, ``data_root``, ``launcher``, ``seed``, ``deterministic``, ``total_batch`` and
            ``cfg_options``, see ``prepare_config``.

    Raises:
        UserError: Something in the arguments, the config, the data or a checkpoint is wrong; also a
            ``ValueError``, ``KeyError`` or ``FileNotFoundError``.
        FloatingPointError: A loss is not finite; see ``DivergenceHook.explain``.
        InterruptedRun: Ctrl-C was pressed or SIGTERM came; ``resume=True`` continues the run.
    """
    if carries_config(config):
        raise ConfigError(f"{config} is a checkpoint: name a config, and the checkpoint after --resume or --load-from.")
    GIGABYTES.check("cache_gb", cache_gb)
    cfg = prepare_config(config, **options)
    require(cfg, ("train_dataloader", "train_cfg", "optim_wrapper"))
    cfg = cfg if validate else _change(cfg, val_cfg=None, val_dataloader=None, val_evaluator=None)
    cfg = set_image_cache(cfg, cache_gb) if cache_gb else cfg
    cfg = _enable_amp(cfg) if amp else cfg
    cfg = _change(cfg, custom_hooks=[*(cfg.get("custom_hooks") or []), _COMPILE_HOOK]) if compiled else cfg
    cfg = _enable_lr_scaling(cfg) if auto_scale_lr else cfg
    if load_from and transfer_from:
        raise ConfigError("--load-from and --transfer-from name two checkpoints: start from one of them.")
    if show_dir:
        check_outputs([Path(show_dir, "0.jpg")])
    with claim_work_dir(cfg):
        cfg = _choose_start(cfg, resume, load_from or transfer_from)
        replaced = find_replaced(cfg, overwrite)
        if from_scratch or cfg.load_from:  # a checkpoint replaces every weight: no need of a download
            cfg = drop_pretrained(cfg)
        check_data(cfg, ("train", "val") if cfg.get("val_dataloader") else ("train",))
        cfg = fetch_pretrained(cfg)
        with suppress_library_noise():
            runner = _build(cfg, is_transferred=bool(transfer_from) and not cfg.resume)
            for path in replaced:
                path.unlink(missing_ok=True)  # another process may have been faster
            _run(runner, [PictureHook(show_dir)] if show_dir else [])
    return _summarise(runner)


def _run(runner: QuietRunner, hooks: list[Hook]) -> None:
    """Train, and close the progress bar before an early end is reported.

    Raises:
        InterruptedRun: Ctrl-C was pressed, or SIGTERM came.
        FloatingPointError: A loss is not finite.
    """
    divergence = DivergenceHook()
    for hook in (CurvesHook(), FirstBatchHook(), divergence, *hooks):
        runner.register_hook(hook)
    try:
        with pass_on_interruptions(), divergence.explain(runner):
            runner.train()
    except InterruptedRun:
        raise
    except KeyboardInterrupt as error:
        raise InterruptedRun(describe_kept(runner)) from error
    finally:
        for hook in runner.hooks:
            if isinstance(hook, ProgressBarHook):
                hook.close()
    loop = runner.train_loop
    if getattr(loop, "stop_training", False) and runner.epoch < runner.max_epochs:
        print(f"training stopped early, after epoch {runner.epoch} of {runner.max_epochs}")


def _change(cfg: Config, **values: Any) -> Config:
    changed = copy.deepcopy(cfg)
    for name, value in values.items():
        changed[name] = value
    return changed


def _enable_amp(cfg: Config) -> Config:
    wrapper = dict(cfg.optim_wrapper)
    if wrapper.get("type", "OptimWrapper") not in _PLAIN_WRAPPERS:
        raise ConfigError(f"--amp cannot be combined with optim_wrapper.type={wrapper['type']!r} of the config.")
    if not isinstance(wrapper.get("loss_scale"), dict):  # MMEngine's wrapper also takes "dynamic" and numbers
        wrapper.pop("loss_scale", None)
    return _change(cfg, optim_wrapper={**wrapper, "type": _AMP_WRAPPER})


def _enable_lr_scaling(cfg: Config) -> Config:
    if "base_batch_size" not in (cfg.get("auto_scale_lr") or {}):
        raise ConfigError("--auto-scale-lr needs auto_scale_lr.base_batch_size, and the config does not have it.")
    return _change(cfg, auto_scale_lr=dict(cfg.auto_scale_lr, enable=True))


def _choose_start(cfg: Config, resume: str | Path | bool | None, load_from: str | Path | None) -> Config:
    """Return ``cfg`` with ``resume`` and ``load_from`` as MMEngine wants them, as local files."""
    start: str | Path | None = load_from or cfg.get("load_from")
    continued: str | Path | None
    if not resume and cfg.get("resume") and not load_from:
        resume = start or AUTO
    if resume is True or resume == AUTO:
        continued = find_resumable(Path(cfg.work_dir))
        print(f"resuming from {continued}" if continued else f"no checkpoint in {cfg.work_dir}: starting with step 1")
    elif resume and load_from:
        raise ConfigError("--resume and --load-from name two checkpoints: continue one, or start from the other.")
    else:
        continued = resume or None
    path = continued or start
    return _change(cfg, resume=bool(continued), load_from=str(locate_checkpoint(path)) if path else None)


@note_unused_images()
def _build(cfg: Config, is_transferred: bool) -> QuietRunner:
    """Build everything that training needs, so that what is wrong shows before the first step."""
    checkpoint = read_checkpoint(Path(cfg.load_from)) if cfg.load_from else None
    if checkpoint and cfg.resume:
        check_resumable(checkpoint, Path(cfg.load_from))
        cfg = continue_seed(cfg, checkpoint)
    runner = build_runner(cfg)
    with refuse_config_errors():
        _check_datasets(runner)
    metainfo = getattr(runner.train_loop.dataloader.dataset, "metainfo", None) or {}
    if metainfo and (doubt := describe_flips(metainfo)):
        print(doubt)
    if checkpoint and is_transferred:
        transfer = plan_transfer(checkpoint, Path(cfg.load_from), get_model(runner), metainfo)
        print(transfer)
        runner.register_hook(TransferHook(transfer))
    elif checkpoint:
        advice = ADVICE if not cfg.resume and is_transferable(checkpoint, get_model(runner)) else ""
        check_fits(get_model(runner), checkpoint, Path(cfg.load_from), advice)
        check_checkpoint_names(checkpoint, Path(cfg.load_from), metainfo, "" if cfg.resume else ADVICE)
    with refuse_config_errors():
        check_readable(make_plain(metainfo), "metainfo")
        _check_optimizer(cfg.optim_wrapper.optimizer.type)
        runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    return runner


def _check_datasets(runner: QuietRunner) -> None:
    """Build the data sets, and check that they have people and fit the model.

    Raises:
        UserError: A data set has no people, lacks images, or has other keypoints than the model.
    """
    evaluators = runner.cfg.get("val_evaluator")
    dataset = runner.train_loop.dataloader.dataset
    check_data_names(dataset)
    check_model_names(get_model(runner), getattr(dataset, "metainfo", None), "train_dataloader")
    count_people(dataset).report()
    check_images(dataset)
    if runner.val_loop is not None:
        dataset = runner.val_loop.dataloader.dataset
        check_images(dataset)
        check_data_names(dataset, evaluators)
        check_model_names(get_model(runner), getattr(dataset, "metainfo", None), "val_dataloader", evaluators)
        count_people(dataset, counts_crowds=False).report_validation()


def _check_optimizer(name: str | type) -> None:
    """Check that an optimizer is registered; MMEngine would call None.

    Raises:
        ConfigError: Its name is unknown; the message has the nearest ones.
    """
    if isinstance(name, str) and OPTIMIZERS.get(name) is None:
        near = get_close_matches(name, OPTIMIZERS.module_dict, n=3)
        hint = f"; the nearest: {', '.join(near)}" if near else ""
        raise ConfigError(f"optim_wrapper.optimizer.type={name!r}: there is no such optimizer{hint}.")


def _summarise(runner: QuietRunner) -> TrainResult:
    scalars = runner.message_hub.log_scalars
    metrics = {
        name.removeprefix("val/"): buffer.current()
        for name, buffer in scalars.items()
        if name.startswith("val/") and name not in ("val/time", "val/data_time")
    }
    noted = read_note(Path(runner.work_dir))
    return TrainResult(metrics, noted if noted and noted.is_file() else None, Path(runner.log_dir))
