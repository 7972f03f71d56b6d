"""A training run, from a config whose options are set to its result."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmengine.config import Config

from rtmo_plugin.checkpoints.reading import locate_checkpoint
from rtmo_plugin.config.data_paths import check_data
from rtmo_plugin.config.pretrained import drop_pretrained, fetch_pretrained
from rtmo_plugin.engine.console import suppress_library_noise
from rtmo_plugin.engine.early_checks import check_named_parts
from rtmo_plugin.engine.resuming import TrainingStart, choose_start
from rtmo_plugin.engine.runner import QuietRunner
from rtmo_plugin.engine.train_result import TrainResult, summarize_training
from rtmo_plugin.engine.training_loop import run_loop
from rtmo_plugin.engine.training_runner import build_training_runner
from rtmo_plugin.engine.work_folder import claim_work_dir, find_replaced
from rtmo_plugin.files import check_outputs


def run_training(cfg: Config, start: TrainingStart, show_dir: str | Path | None = None) -> TrainResult:
    """Train the model of a config.

    Args:
        cfg: Config that ``prepare_config`` returned; its start is set in place.
        start: Checkpoint or weights to start from.
        show_dir: Folder for plots of the predictions during validation.

    Raises:
        UserError: The data, a checkpoint or the config is wrong.
        FloatingPointError: A loss is not finite.
        InterruptedRun: Ctrl-C was pressed, or SIGTERM came.
    """
    if show_dir:
        check_outputs([Path(show_dir, "0.jpg")])
    with open_training(cfg, start) as (runner, replaced):
        for path in replaced:
            path.unlink(missing_ok=True)  # another process may have been faster
        run_loop(runner, show_dir)
    return summarize_training(runner)


@contextmanager
def open_training(
    cfg: Config, start: TrainingStart, *, output_dir: str | Path | None = None
) -> Iterator[tuple[QuietRunner, list[Path]]]:
    """Check and build a training; no other one can use its work folder during the block.

    Args:
        cfg: Config of ``prepare_config``, which is edited in place.
        start: Checkpoint or weights to start from.
        output_dir: Folder that everything is written to. Default: the work folder.

    Yields:
        The runner, and the checkpoints in the work folder that the training replaces.

    Raises:
        UserError: The data, a checkpoint or the config is wrong.
    """
    check_named_parts(cfg)
    with claim_work_dir(cfg):
        check_data(cfg, ("train", "val") if cfg.get("val_dataloader") else ("train",))
        choose_start(cfg, start)
        replaced = find_replaced(cfg, start.overwrite)
        if cfg.load_from:
            cfg.load_from = str(locate_checkpoint(cfg.load_from))
        if start.from_scratch or cfg.load_from:  # a checkpoint replaces every weight: no download is needed
            drop_pretrained(cfg)
        fetch_pretrained(cfg)
        cfg.work_dir = str(output_dir or cfg.work_dir)
        with suppress_library_noise():
            yield build_training_runner(cfg, is_transferred=bool(start.transfer_from) and not cfg.resume), replaced
