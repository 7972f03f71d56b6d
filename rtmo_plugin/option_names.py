"""Suggests names for options that do not exist."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from rtmo_plugin.errors import ConfigError

# Names of options in other pose tools, with their names here.
_ALIASES = {
    **dict.fromkeys(
        ("conf", "confidence", "threshold", "thr", "thresh", "min_score", "bbox_thr", "det_thr"), "score_thr"
    ),
    **dict.fromkeys(("conf_thr", "conf_thres", "score_threshold", "score", "kpt_thr"), "score_thr"),
    **dict.fromkeys(("imgsz", "size", "img_size", "input_size", "model_input_size", "input_shape"), "size_wh"),
    **dict.fromkeys(("backend", "engine", "provider", "providers"), "runtime"),
    **dict.fromkeys(("half", "fp16", "dtype", "bf16"), "precision"),
    **dict.fromkeys(("num_threads", "n_threads", "cpu_threads", "workers", "num_workers"), "threads"),
    **dict.fromkeys(("gpu", "cuda", "device_id"), "device"),
    **dict.fromkeys(("augment", "tta", "flip_test", "hflip"), "flip"),
    **dict.fromkeys(("slice", "sahi", "tiles", "tile_size", "slice_size"), "tile"),
    **dict.fromkeys(("cfg", "config_file", "pose2d"), "config"),
    **dict.fromkeys(("track_thresh", "new_track_thresh", "init_thr"), "start_score"),
    **dict.fromkeys(("min_hits", "n_init"), "min_seen"),
    **dict.fromkeys(("track_buffer", "max_age"), "max_lost"),
}
_CUTOFF = 0.6  # lowest similarity of a suggested name


def check_option_names(where: str, given: Iterable[str], known: Sequence[str]) -> None:
    """Check that options exist.

    Args:
        where: Class or function that takes the options, for the message.
        given: Names of the given options.
        known: Names of all options.

    Raises:
        ConfigError: An option does not exist; the message suggests a name.

    Examples:
        >>> check_option_names("Pose", ["conf"], ["score_thr", "device"])
        Traceback (most recent call last):
        rtmo_plugin.errors.ConfigError: Pose has no option 'conf': did you mean score_thr? It has score_thr, device.
    """
    for name in given:
        if name in known:
            continue
        near = find_near_name(name, known)
        meant = f"did you mean {near}? It has" if near else "it has"
        raise ConfigError(f"{where} has no option {name!r}: {meant} {', '.join(known)}.")


def find_near_name(name: str, known: Sequence[str]) -> str | None:
    """Return the known name that was probably meant: what other pose tools call so, or a similar one."""
    alias = _ALIASES.get(name.lower())
    return alias if alias in known else next(iter(get_close_matches(name.lower(), known, 1, _CUTOFF)), None)
