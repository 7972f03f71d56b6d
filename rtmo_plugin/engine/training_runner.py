"""The runner of a training: everything is built and checked, so that mistakes show before the first step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dist import is_main_process

from rtmo_plugin.checkpoints.contents import check_readable, make_plain
from rtmo_plugin.checkpoints.fit import check_fits
from rtmo_plugin.checkpoints.name_checks import check_checkpoint_names, check_data_names, check_model_names
from rtmo_plugin.checkpoints.reading import check_resumable, read_checkpoint
from rtmo_plugin.checkpoints.transfer import ADVICE, TransferHook, is_transferable, plan_transfer
from rtmo_plugin.config.custom_data import describe_flips
from rtmo_plugin.config.data_paths import check_images
from rtmo_plugin.config.sections import is_pretrained, walk_sections
from rtmo_plugin.engine.hooks.distillation import DistillationHook
from rtmo_plugin.engine.hooks.freezing import check_same_parts, describe_frozen, find_frozen_parts
from rtmo_plugin.engine.people_count import count_people, note_unused_images
from rtmo_plugin.engine.resuming import continue_seed
from rtmo_plugin.engine.runner import QuietRunner, build_runner, get_model
from rtmo_plugin.errors import ConfigError, refuse_config_errors
from rtmo_plugin.structures import KeypointSchema

_MOST_NAMED = 30  # of 133, for example


@note_unused_images()
def build_training_runner(cfg: Config, is_transferred: bool) -> QuietRunner:
    """Build the runner of a training with its data, model and optimizer.

    Args:
        cfg: Config with ``load_from`` and ``resume``; the seed of a checkpoint that is resumed replaces its own.
        is_transferred: Whether ``load_from`` may have other keypoints and classes, which are matched by name.

    Raises:
        UserError: Something cannot be built, or data, model and checkpoint do not belong together.
    """
    checkpoint = read_checkpoint(Path(cfg.load_from)) if cfg.load_from else None
    if checkpoint and cfg.resume:
        check_resumable(checkpoint, Path(cfg.load_from))
        continue_seed(cfg, checkpoint)
    runner = build_runner(cfg)
    with refuse_config_errors():
        _check_datasets(runner)
    _check_frozen(runner, checkpoint)
    for hook in runner.hooks:
        if isinstance(hook, DistillationHook):
            hook.check(get_model(runner))
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
    if checkpoint and cfg.resume:
        _check_epochs_left(cfg, checkpoint)
    with refuse_config_errors():
        check_readable(make_plain(metainfo), "metainfo")
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
    schema = getattr(getattr(get_model(runner), "head", None), "schema", None)
    if schema is not None and is_main_process():
        metainfo = getattr(dataset, "metainfo", None) or {}
        listed = [
            str(each["name"]) for each in metainfo.get("CLASSES") or () if each.get("keypoints")
        ]  # of MMPose's sets
        print(describe_keypoints(schema, metainfo.get("classes") or listed))
    count_people(dataset).report()
    check_images(dataset)
    if runner.val_loop is not None:
        dataset = runner.val_loop.dataloader.dataset
        check_images(dataset)
        check_data_names(dataset, evaluators)
        check_model_names(get_model(runner), getattr(dataset, "metainfo", None), "val_dataloader", evaluators)
        count_people(dataset, counts_crowds=False).report_validation()


def describe_keypoints(schema: KeypointSchema, classes: Sequence[str]) -> str:
    """Return classes, keypoints with their sigmas, and the pairs that a flip exchanges, a line each.

    Examples:
        >>> print(describe_keypoints(KeypointSchema(("left", "right"), (0.05, 0.05), ((0, 1),), ()), ["arrow"]))
        classes:        arrow
        keypoints:      2 with sigmas: left 0.05, right 0.05
        flip pairs:     left-right
    """
    names = schema.names
    sigmas = [f"{name} {sigma:.3g}" for name, sigma in zip(names, schema.sigmas)]
    pairs = [f"{names[a]}-{names[b]}" for a, b in schema.flip_pairs]
    lines = {
        **({"classes": _list_some(classes)} if classes else {}),
        "keypoints": f"{len(names)} with sigmas: {_list_some(sigmas)}",
        "flip pairs": _list_some(pairs) or "none",
    }
    return "\n".join(f"{name + ':':<16}{value}" for name, value in lines.items())


def _list_some(words: Sequence[str]) -> str:
    return ", ".join(words[:_MOST_NAMED]) + (
        f" and {len(words) - _MOST_NAMED} more" if len(words) > _MOST_NAMED else ""
    )


def _check_frozen(runner: QuietRunner, checkpoint: Mapping[str, Any] | None) -> None:
    """Print which parts are frozen, and check that a run to resume froze the same.

    Raises:
        CheckpointError: It froze others.
    """
    cfg, names = runner.cfg, find_frozen_parts(runner.cfg)
    if checkpoint and cfg.resume:
        check_same_parts(names, checkpoint["meta"], cfg.load_from)
    if not names or not is_main_process():
        return
    print(describe_frozen(get_model(runner), names))
    pretrained = {name for name, part in cfg.model.items() if any(map(is_pretrained, walk_sections(part)))}
    random = [name for name in names if name.partition(".")[0] not in pretrained]
    if random and not checkpoint:
        print(
            f"warning: {' and '.join(random)} {'is' if len(random) == 1 else 'are'} frozen with random weights: start "
            "from a checkpoint with --load-from or --transfer-from"
        )


def _check_epochs_left(cfg: Config, checkpoint: Mapping[str, Any]) -> None:
    """Check that a run to resume is not beyond its last epoch.

    Raises:
        ConfigError: More epochs are done than the config has.
    """
    done, wanted = checkpoint["meta"]["epoch"], cfg.train_cfg.get("max_epochs")
    if wanted is not None and done > wanted:
        raise ConfigError(
            f"{cfg.load_from} has {done} finished epochs, and training is to end after {wanted}: give --epochs a "
            "larger number, or start from the weights with --load-from."
        )
