"""Ray: imported without log output and usage statistics, and started on this machine."""

from __future__ import annotations

import os
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from rtmo_plugin.errors import ConfigError, write_install_line
from rtmo_plugin.silence import drop_stderr

LOCAL = "local"
_OBJECT_STORE = 200 * 1024**2  # bytes for names and reports


def import_ray(library: str, packages: tuple[str, ...]) -> Any:
    """Return Ray with one of its libraries, without log output and usage statistics.

    Args:
        library: Name of the library, such as ``data``.
        packages: Names of the packages that the library needs.

    Raises:
        ConfigError: Ray or one of the packages is not installed.
    """
    if not all(map(find_spec, ("ray", *packages))):
        raise ConfigError(f"Ray is not installed: {write_install_line('ray')}")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    ray = import_module("ray")
    import_module(f"ray.{library}")
    return ray


def start_ray(ray: Any, address: str = LOCAL, num_cpus: int | None = None) -> None:
    """Connect this process to a cluster, or start one here.

    Args:
        ray: Module of ``import_ray``.
        address: Address of the cluster; ``"local"`` starts Ray on this machine.
        num_cpus: Number of CPUs that are needed, more than this machine has if need be. Default: those of this machine.

    Raises:
        ConfigError: No cluster answers at the address.
    """
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
    if address == LOCAL:
        options |= {"include_dashboard": False, "object_store_memory": _OBJECT_STORE}
        options["num_cpus"] = max(num_cpus or 1, os.cpu_count() or 1)
    try:
        with drop_stderr():  # the log level of ``import_ray`` is logged itself
            ray.init(address=address, **options)
    except ConnectionError as error:
        hint = "start one with `ray start --head`, or set RAY_AUTH_MODE=token if it asks for a token"
        raise ConfigError(f"No Ray cluster answers at {address}: {hint}.") from error
