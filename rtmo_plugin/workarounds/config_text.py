"""Work-around for the text of configs: MMEngine formats the same one for each checkpoint, log and copy."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from mmengine.config import config


def format_configs_once() -> None:
    """Make MMEngine format each config once; further calls change nothing.

    ``Config.pretty_text`` runs yapf, for half a second and more, whenever it is asked for.
    """
    format_code = config.FormatCode
    if hasattr(format_code, "__wrapped__"):  # applied before
        return

    @functools.lru_cache(maxsize=4)
    def format_text(text: str, style: tuple[tuple[str, Any], ...], options: tuple[tuple[str, Any], ...]) -> Any:
        return format_code(text, style_config=dict(style), **dict(options))

    @functools.wraps(format_code)
    def format_once(text: str, style_config: Mapping[str, Any], **options: Any) -> Any:
        return format_text(text, tuple(style_config.items()), tuple(options.items()))

    config.FormatCode = format_once
