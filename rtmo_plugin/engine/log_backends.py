"""Where ``--logger`` sends the numbers of a training, besides the log in the work folder."""

from __future__ import annotations

import csv
import inspect
import io
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.visualization.vis_backend import BaseVisBackend, MLflowVisBackend, WandbVisBackend, force_init_env

from rtmo_plugin.files import write_file
from rtmo_plugin.registry import VISBACKENDS
from rtmo_plugin.wording import show_path

_NOT_IN_NAMES = re.compile(r"[^\w\-. :/]")  # of MLflow's metrics
_LONGEST_PARAMETER = 500


@VISBACKENDS.register_module()
class CsvBackend(BaseVisBackend):
    """Write losses to ``training.csv`` and metrics to ``validation.csv``, a row for each entry of the log.

    Args:
        save_dir: Folder of both files.
    """

    def __init__(self, save_dir: str) -> None:
        super().__init__(save_dir)
        self._columns: dict[Path, list[str]] = {}

    @property
    def experiment(self) -> Path:
        """Folder of the files."""
        return Path(self._save_dir)

    def _init_env(self) -> None:
        Path(self._save_dir).mkdir(parents=True, exist_ok=True)

    def add_scalar(self, name: str, value: Any, step: int = 0, **_: Any) -> None:
        """Write one number as a row."""
        self.add_scalars({name: value}, step)

    @force_init_env  # type: ignore[untyped-decorator]  # MMEngine has no types
    def add_scalars(self, scalar_dict: Mapping[str, Any], step: int = 0, *_: Any, **__: Any) -> None:
        """Append a row; a file gets new columns when new names come.

        Args:
            scalar_dict: Numbers by name; those of training have an ``epoch``.
            step: Step of training, or epoch of validation.
        """
        path = Path(self._save_dir, "training.csv" if "epoch" in scalar_dict else "validation.csv")
        row = {"step": step, **{name: float(value) for name, value in scalar_dict.items() if name != "step"}}
        columns = self._columns.setdefault(path, [])
        if new := [name for name in row if name not in columns]:
            rows = list(csv.DictReader(path.open(encoding="utf-8", newline=""))) if columns else []
            columns += new
            write_file(path, _format_rows(columns, rows, has_header=True))
        with path.open("a", encoding="utf-8", newline="") as file:
            file.write(_format_rows(columns, [row]))


def _format_rows(columns: list[str], rows: list[Any], *, has_header: bool = False) -> str:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    if has_header:
        writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


@VISBACKENDS.register_module()
class WandbBackend(WandbVisBackend):
    """MMEngine's ``WandbVisBackend``, which stays on this machine without a login, and uploads no code.

    Args:
        save_dir: Folder of the run.
        init_kwargs: Arguments of ``wandb.init``.
        **options: Further options of MMEngine's backend.
    """

    def __init__(self, save_dir: str, init_kwargs: Mapping[str, Any] | None = None, **options: Any) -> None:
        super().__init__(save_dir, dict(init_kwargs or {}), **options)

    def _init_env(self) -> None:
        import wandb

        Path(self._save_dir).mkdir(parents=True, exist_ok=True)
        settings = {"dir": self._save_dir, "project": "rtmo", **self._init_kwargs}
        if "mode" not in settings and wandb.setup().settings.mode == "online":
            # Version 0.31, where ``wandb.api`` is deprecated, tells without asking for a key whether it knows one.
            can_tell = "prompt" in inspect.signature(wandb.login).parameters
            if not (wandb.login(prompt=False) if can_tell else wandb.api.api_key):
                settings["mode"] = "offline"
        try:
            run = wandb.init(**settings)
        except wandb.errors.CommError:  # there is a login, and no network
            run = wandb.init(**{**settings, "mode": "offline"})
        self._wandb = wandb
        if run.settings._offline:
            folder = show_path(Path(run.dir).parent)
            print(f"wandb: without a login or a network the run is kept in {folder}; `wandb sync {folder}` uploads it")

    @force_init_env  # type: ignore[untyped-decorator]  # MMEngine has no types
    def add_config(self, config: Config, **_: Any) -> None:
        """Record the config, without the code of this folder."""
        self._wandb.config.update(config.to_dict(), allow_val_change=True)

    def close(self) -> None:
        """End the run."""
        if hasattr(self, "_wandb"):
            self._wandb.finish()


@VISBACKENDS.register_module()
class MLflowBackend(MLflowVisBackend):
    """MMEngine's ``MLflowVisBackend``, with names and values that MLflow accepts, and no copies of the work folder.

    Runs are kept in the folder ``mlruns`` of the log, unless ``MLFLOW_TRACKING_URI`` names another place.
    """

    def _init_env(self) -> None:
        import mlflow

        uri = self._tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")
        if not uri:
            folder = Path(self._save_dir, "mlruns").absolute()
            folder.mkdir(parents=True, exist_ok=True)
            uri = folder.as_uri()
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
            print(f"mlflow: the run is kept in {show_path(folder)}; look at it with")
            print(f"MLFLOW_ALLOW_FILE_STORE=true mlflow ui --backend-store-uri {uri}")
        mlflow.set_tracking_uri(uri)
        mlflow.set_experiment(self._exp_name or "rtmo")
        mlflow.start_run(run_name=self._run_name, tags=self._tags)
        self._mlflow = mlflow

    @force_init_env  # type: ignore[untyped-decorator]  # MMEngine has no types
    def add_config(self, config: Config, **_: Any) -> None:
        """Record the values of the config, each up to 500 characters, and its text."""
        values = self._flatten(config.to_dict()).items()
        known = {_NOT_IN_NAMES.sub("", name): str(value)[:_LONGEST_PARAMETER] for name, value in values}
        self._mlflow.log_params(known)
        self._mlflow.log_text(config.pretty_text, "config.py")

    def add_scalar(self, name: str, value: Any, step: int = 0, **_: Any) -> None:
        """Record one number."""
        self.add_scalars({name: value}, step)

    @force_init_env  # type: ignore[untyped-decorator]  # MMEngine has no types
    def add_scalars(self, scalar_dict: Mapping[str, Any], step: int = 0, *_: Any, **__: Any) -> None:
        """Record numbers, without the brackets in names such as ``coco/AP (M)``."""
        numbers = {_NOT_IN_NAMES.sub("", name): float(value) for name, value in scalar_dict.items()}
        self._mlflow.log_metrics(numbers, step)

    def close(self) -> None:
        """End the run."""
        if hasattr(self, "_mlflow"):
            self._mlflow.end_run()
