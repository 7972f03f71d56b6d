"""Training on a GPU, beside MMPose, measured within ten minutes, the most important parts first."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.gpu_parts import PARTS, ROOT, ROW, UNUSED, Row
from benchmarks.timing_report import add_row
from benchmarks.training_samples import draw_coco_folder
from rtmo_plugin.errors import ConfigError
from rtmo_plugin.speed.speed_report import SpeedReport

_COLUMNS = {
    "ms a step": ("ms", ".2f"),
    "images/s": ("images_per_s", ".1f"),
    "reserved MB": ("reserved_mb", ".0f"),
    "remark": ("remark", "s"),
}
_SHORTEST = 10.0  # seconds in which no part can do anything


def run(
    *,
    data_root: str | Path | None = None,
    minutes: int = 9,
    parts: str = "",
    tiny: bool = False,
    out: str | None = None,
) -> SpeedReport:
    """Measure training steps, training from files, loss curves, batch norm and the tests for GPUs, part by part.

    Each part runs in a process of its own with a time limit, so that one that fails or hangs costs no other part. Rows
    are printed to stderr when they are known.

    Args:
        data_root: Folder with ``coco/``; None for synthetic images.
        minutes: Time for all parts; those that do not fit any more are left out.
        parts: Names of parts, separated by commas. Default: all.
        tiny: Whether sizes are small and steps few, to try the benchmark itself.
        out: File for the report, which is written anew with each row, so that a command that is killed leaves what it
            knows. Default: none.

    Raises:
        ConfigError: A part is unknown.
    """
    names = [name for name in parts.split(",") if name] or list(PARTS)
    unknown = sorted(set(names) - set(PARTS))
    if unknown:
        raise ConfigError(f"--parts: {unknown[0]!r} is unknown; choose from {', '.join(PARTS)}.")
    command = f"python -m benchmarks gpu-training --minutes {minutes}" + (f" --parts {parts}" if parts else "")
    command += (" --tiny" if tiny else "") + ("" if data_root is None else f" --data-root {data_root}")
    report = SpeedReport("Training on a GPU", command, _COLUMNS, (), {"tiny": tiny})
    end = time.monotonic() + 60 * minutes
    with contextlib.ExitStack() as stack:
        folder = str(data_root or stack.enter_context(draw_coco_folder(4 if tiny else 64)))
        for name in names:
            limit = min(PARTS[name][1] * (10.0 if tiny else 1.0), end - time.monotonic())
            for row in _run_part(name, folder, tiny, limit):
                report = add_row(report, row, out)
    return report


def _run_part(name: str, data_root: str, tiny: bool, limit: float) -> Iterator[Row]:
    """Yield the rows of a part, and one that says so if it fails or takes longer than ``limit`` seconds."""
    if limit < _SHORTEST:
        yield {"name": name, "remark": "left out: no time is left"}
        return
    command = [sys.executable, "-m", "benchmarks.gpu_parts", name, "--data-root", str(Path(data_root).resolve())]
    with subprocess.Popen(
        [*command, *(["--tiny"] if tiny else [])],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        errors: list[str] = []
        reader = threading.Thread(target=errors.extend, args=(process.stderr,), daemon=True)
        reader.start()
        timer = threading.Timer(limit, _kill, [process])
        timer.start()
        try:
            for line in process.stdout:
                if line.startswith(ROW):
                    yield json.loads(line.removeprefix(ROW))
            code = process.wait()
        finally:
            timer.cancel()
            _kill(process)
        reader.join(timeout=5)
    yield from _describe_end(name, code, errors, limit)


def _describe_end(name: str, code: int, errors: list[str], limit: float) -> Iterator[Row]:
    """Yield a row for the warnings of a part, and one if it did not end well."""
    for line in errors:
        if UNUSED in line:
            yield {"name": name, "remark": line.strip()}
    lines = [line.strip() for line in errors if line.strip()]
    if code == -signal.SIGKILL:
        last = f", and its last line is: {lines[-1]}" if lines else ""
        yield {"name": name, "remark": f"stopped after {limit:.0f} s{last}"}
    elif code:
        yield {"name": name, "remark": f"failed: {(lines or ['no reason given'])[-1]}"}


def _kill(process: subprocess.Popen[str]) -> None:
    """End a part with all processes that it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
