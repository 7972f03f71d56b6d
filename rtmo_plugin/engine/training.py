"""A training run, from a config whose options are set to its result."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmengine.config import Config

from rtmo_plugin.config.data_paths import check_data
from rtmo_plugin.config.pretrained import drop_pretrained, fetch_pretrained
from rtmo_plugin.engine.console import suppress_library_noise
from rtmo_plugin.engine.resuming import choose_start
from rtmo_plugin.engine.runner import QuietRunner
from rtmo_plugin.engine.train_result import TrainResult, summarize_training
from rtmo_plugin.engine.training_loop import run_loop
from rtmo_plugin.engine.training_runner import build_training_runner
from rtmo_plugin.engine.work_folder import claim_work_dir, find_replaced


def run_training(
    cfg: Config,
    *,
    resume: str | Path | bool | None,
    load_from: str | Path | None,
    transfer_from: str | Path | None,
    from_scratch: bool,
    overwrite: bool,
    show_dir: str | Path | None,
) -> TrainResult:
    """Train the model of a config that ``prepare_config`` returned; its start is set in place.

    Arguments: see ``rtmo_plugin.api.train``.

    Raises:
        UserError: The data, a checkpoint or the config is wrong.
        FloatingPointError: A loss is not finite.
        InterruptedRun: Ctrl-C was pressed, or SIGTERM came.
    """
    with open_training(
        cfg,
        resume=resume,
        load_from=load_from,
        transfer_from=transfer_from,
        from_scratch=from_scratch,
        overwrite=overwrite,
    ) as (runner, replaced):
        for path in replaced:
            path.unlink(missing_ok=True)  # another process may have been faster
        run_loop(runner, show_dir)
    return summarize_training(runner)


@contextmanager
def open_training(
    cfg: Config,
    *,
    resume: str | Path | bool | None = None,
    load_from: str | Path | None = None,
    transfer_from: str | Path | None = None,
    from_scratch: bool = False,
    overwrite: bool = False,
    output_dir: str | Path | None = None,
) -> Iterator[tuple[QuietRunner, list[Path]]]:
    """Check and build a training; no other one can use its work folder during the block.

    Args:
        cfg: Config of ``prepare_config``, which is edited in place.
        resume: Checkpoint to continue from.
        load_from: Checkpoint whose weights to start from.
        transfer_from: Checkpoint of a model with other keypoints or classes.
        from_scratch: Whether to start from random weights.
        overwrite: Whether the checkpoints of an earlier run may be removed.
        output_dir: Folder that everything is written to. Default: the work folder.

    Yields:
        The runner, and the checkpoints in the work folder that the training replaces.

    Raises:
        UserError: The data, a checkpoint or the config is wrong.
    """
    with claim_work_dir(cfg):
        choose_start(cfg, resume, load_from or transfer_from)
        replaced = find_replaced(cfg, overwrite)
        if from_scratch or cfg.load_from:  # a checkpoint replaces every weight: no download is needed
            drop_pretrained(cfg)
        check_data(cfg, ("train", "val") if cfg.get("val_dataloader") else ("train",))
        fetch_pretrained(cfg)
        cfg.work_dir = str(output_dir or cfg.work_dir)
        with suppress_library_noise():
            yield build_training_runner(cfg, is_transferred=bool(transfer_from) and not cfg.resume), replaced
