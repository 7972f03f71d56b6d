"""The templates of pages: ``frame.html`` and ``parts.html`` are common to all, and each page has one of its own."""

from __future__ import annotations

import base64
import math
from pathlib import Path
from typing import Any

from rtmo_plugin.errors import MissingPackageError, write_install_line


def render_template(template: str, **values: Any) -> str:
    """Return a page as HTML; texts among the values are escaped.

    Args:
        template: File name of the template.
        values: Variables of the template.

    Raises:
        MissingPackageError: Jinja is not installed.
    """
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    except ImportError:
        raise MissingPackageError(f"Pages need the package jinja2: {write_install_line('labels')}") from None
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "base64": lambda content: base64.b64encode(content).decode(),
        "number": _format_number,
        "thousands": "{:,}".format,
    }
    return environment.get_template(template).render(**values)


def _format_number(value: float, digits: int = 3) -> str:
    """Return a number; a dash for a missing one, which the COCO tools write as -1."""
    return "-" if math.isnan(value) or value < 0 else f"{value:.{digits}f}"
