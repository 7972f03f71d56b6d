"""Regular checkpoints: an old one is removed only after the next one is on disk."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner

from rtmo_plugin.registry import HOOKS

_KEPT, _NO_LIMIT = "keep_ckpt_ids", -1


@HOOKS.register_module()
class KeepingCheckpointHook(CheckpointHook):
    """MMEngine's ``CheckpointHook``, but old checkpoints are removed after the new one is written.

    With ``max_keep_ckpts=1``, MMEngine leaves no checkpoint if it is killed while writing one.  The list of kept
    checkpoints in a file includes the one about to be removed, so that a resumed run can remove it.
    """

    max_keep_ckpts: int

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict[str, Any]) -> None:
        limit = self.max_keep_ckpts
        if limit <= 0:
            super()._save_checkpoint_with_step(runner, step, meta)
            return
        steps = [*(each for each in self.keep_ckpt_ids if each != step), step]
        runner.message_hub.update_info(_KEPT, steps)
        self.max_keep_ckpts = _NO_LIMIT
        try:
            super()._save_checkpoint_with_step(runner, step, meta)
        finally:
            self.max_keep_ckpts = limit
        for old in steps[:-limit]:
            self._remove(self.filename_tmpl.format(old))
        self.keep_ckpt_ids.clear()
        self.keep_ckpt_ids.extend(steps[-limit:])
        runner.message_hub.update_info(_KEPT, steps[-limit:])

    def _save_best_checkpoint(self, runner: Runner, metrics: Mapping[str, float]) -> None:
        hidden = self._list_best()
        self._set_best({})  # the base class would remove them before it writes the next ones
        super()._save_best_checkpoint(runner, metrics)
        new = self._list_best()
        self._set_best({**hidden, **new})
        for key, old in hidden.items():
            if old and new.get(key) and Path(old).name != Path(new[key]).name:
                self._remove(Path(old).name)

    def _list_best(self) -> dict[str, str]:
        """Return the best checkpoints by metric; the key of a single one is empty."""
        if not self.save_best:
            return {}
        found = {"": self.best_ckpt_path} if hasattr(self, "best_ckpt_path") else self.best_ckpt_path_dict
        return {key: path for key, path in found.items() if path}

    def _set_best(self, paths: Mapping[str, str]) -> None:
        if not self.save_best:
            return
        if hasattr(self, "best_ckpt_path"):
            self.best_ckpt_path = paths.get("")
        else:
            self.best_ckpt_path_dict = {key: paths.get(key) for key in self.key_indicators}

    def _remove(self, name: str) -> None:
        path = self.file_backend.join_path(self.out_dir, name)
        if is_main_process() and self.file_backend.isfile(path):
            self.file_backend.remove(path)
