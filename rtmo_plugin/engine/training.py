"""A training run, from a config whose options are set to its result."""

from __future__ import annotations

from pathlib import Path

from mmengine.config import Config

from rtmo_plugin.config.data_paths import check_data
from rtmo_plugin.config.pretrained import drop_pretrained, fetch_pretrained
from rtmo_plugin.engine.console import suppress_library_noise
from rtmo_plugin.engine.resuming import choose_start
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
    with claim_work_dir(cfg):
        choose_start(cfg, resume, load_from or transfer_from)
        replaced = find_replaced(cfg, overwrite)
        if from_scratch or cfg.load_from:  # a checkpoint replaces every weight: no download is needed
            drop_pretrained(cfg)
        check_data(cfg, ("train", "val") if cfg.get("val_dataloader") else ("train",))
        fetch_pretrained(cfg)
        with suppress_library_noise():
            runner = build_training_runner(cfg, is_transferred=bool(transfer_from) and not cfg.resume)
            for path in replaced:
                path.unlink(missing_ok=True)  # another process may have been faster
            run_loop(runner, show_dir)
    return summarize_training(runner)
