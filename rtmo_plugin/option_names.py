"""Names of options that do not exist, and the names that were meant."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from rtmo_plugin.errors import ConfigError

# What other pose tools call an option, and what it is called here.
_ELSEWHERE = {
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
_CUTOFF = 0.6  # how near a name must be to be suggested


def check_option_names(where: str, given: Iterable[str], known: Sequence[str]) -> None:
    """Check that options exist.

    Args:
        where: Class or function that gets the options, for the message.
        given: Names of the given options.
        known: Names of all options.

    Raises:
        ConfigError: One does not exist; the message has the name that was probably meant.

    Examples:
        >>> check_option_names("Pose", ["conf"], ["score_thr", "device"])
        Traceback (most recent call last):
        rtmo_plugin.errors.ConfigError: Pose has no option 'conf': did you mean score_thr? It has score_thr, device.
    """
    for name in given:
        if name in known:
            continue
        alias = _ELSEWHERE.get(name.lower())
        near = [alias] if alias in known else get_close_matches(name.lower(), known, 1, _CUTOFF)
        meant = f"did you mean {near[0]}? It has" if near else "it has"
        raise ConfigError(f"{where} has no option {name!r}: {meant} {', '.join(known)}.")
