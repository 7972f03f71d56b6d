"""Evaluate a checkpoint on the test data of a config."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import mmengine
import numpy as np
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.runner import Runner

from rtmo_plugin.checkpoints.fit import check_fits
from rtmo_plugin.checkpoints.name_checks import check_checkpoint_names, check_data_names, check_model_names
from rtmo_plugin.checkpoints.reading import locate_checkpoint, read_checkpoint
from rtmo_plugin.config.data_paths import check_data, check_images
from rtmo_plugin.config.edits import prepare_config, require_sections
from rtmo_plugin.engine.console import SHOWN_BY_TABLE, suppress_library_noise
from rtmo_plugin.engine.exported import Metrics, Speed
from rtmo_plugin.engine.hooks.prediction_plots import PictureHook
from rtmo_plugin.engine.runner import QuietRunner, build_runner, get_model
from rtmo_plugin.errors import ConfigError, refuse_config_errors
from rtmo_plugin.files import check_outputs
from rtmo_plugin.media.image_files import make_folder

METRIC_FILES = (".json", ".yaml", ".yml", ".pkl", ".pickle")
_DUMP_FILES = (".pkl", ".pickle")


def evaluate(
    config: str | Path | Config,
    checkpoint: str | Path,
    *,
    out: str | Path | None = None,
    dump: str | Path | None = None,
    show_dir: str | Path | None = None,
    **options: Any,
) -> Metrics:
    """Evaluate ``checkpoint`` on the test data of ``config``.

    Args:
        config: Path of a config file, or a config.
        checkpoint: Path or URL of a checkpoint, or a name such as ``rtmo-s_body7``.
        out: File for the metrics (.json, .yaml or .pkl).
        dump: File for the predictions (.pkl), to evaluate them again elsewhere.
        show_dir: Folder for images with the predictions drawn.
        **options: ``work_dir``, ``data_root``, ``launcher``, ``seed`` and ``cfg_options``, see
            ``prepare_config``.

    Returns:
        The metrics by name, such as ``coco/AP``, and as ``speed`` how long an image took.

    Raises:
        UserError: Something in the arguments, the config, the data or the checkpoint is wrong; also
            a ``ValueError``, ``KeyError`` or ``FileNotFoundError``.
    """
    for option, file, suffixes in (("--out", out, METRIC_FILES), ("--dump", dump, _DUMP_FILES)):
        if file is not None:
            prepare_file(option, Path(file), suffixes)
    if show_dir:
        check_outputs([Path(show_dir, "0.jpg")])
    path = locate_checkpoint(checkpoint)
    cfg = prepare_test(config, **options)
    check_data(cfg, ("test",))
    with suppress_library_noise(*SHOWN_BY_TABLE):
        runner = build_test_runner(cfg, path, dump)
        if show_dir:
            runner.register_hook(PictureHook(show_dir))
        metrics: dict[str, float] = runner.test()
    if out:
        mmengine.dump(metrics, str(out))
    return Metrics(metrics, find_speed(runner))


def find_speed(runner: Runner) -> Speed | None:
    """Return how long an image took in a test that is over, from data to people; None without times."""
    times = runner.message_hub.log_scalars.get("test/time")
    if times is None:
        return None
    seconds, size = times.data[0], runner.test_dataloader.batch_size or 1
    how = f"median; loading, network and decoding in batches of {size}, PyTorch on {get_device()}"
    return Speed(1000 * float(np.median(seconds)) / size, how)


def prepare_test(config: str | Path | Config, **options: Any) -> Config:
    """Read a config that has test data, with ``prepare_config``'s options.

    Raises:
        UserError: The config or an option is wrong.
    """
    cfg = prepare_config(config, **options)
    require_sections(cfg, ("test_dataloader", "test_evaluator", "test_cfg"))
    return cfg


def prepare_file(option: str, path: Path, suffixes: tuple[str, ...]) -> None:
    """Make sure that what takes hours to compute can be written to ``path``."""
    if path.suffix not in suffixes:
        raise ConfigError(f"{option} {path}: the file name must end with one of {', '.join(suffixes)}.")
    make_folder(path.parent, f"The folder of {option},")


def _use_checkpoint(cfg: Config, path: Path, dump: str | Path | None) -> Config:
    changed = copy.deepcopy(cfg)
    changed.load_from, changed.resume = str(path), False
    if dump:
        evaluators = changed.test_evaluator
        listed = list(evaluators) if isinstance(evaluators, (list, tuple)) else [evaluators]
        changed.test_evaluator = [*listed, dict(type="DumpResults", out_file_path=str(dump))]
    return changed


def build_test_runner(cfg: Config, path: Path, dump: str | Path | None = None) -> QuietRunner:
    """Build everything that testing needs, so that what is wrong shows before the first image.

    Raises:
        UserError: Something cannot be built, or the checkpoint does not belong to the config.
    """
    content = read_checkpoint(path)
    runner = build_runner(_use_checkpoint(cfg, path, dump))
    check_fits(get_model(runner), content, path)
    with refuse_config_errors():
        dataset = runner.test_loop.dataloader.dataset
        check_images(dataset)
        check_data_names(dataset, cfg.test_evaluator)
    check_checkpoint_names(content, path, dataset.metainfo)
    check_model_names(get_model(runner), dataset.metainfo, "test_dataloader", cfg.test_evaluator)
    return runner
