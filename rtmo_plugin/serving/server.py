"""Runs the application on a port, by default for this machine only."""

from __future__ import annotations

import logging
import os
import socket
import sys
import webbrowser
from contextlib import suppress
from ipaddress import ip_address
from typing import Any

import uvicorn

from rtmo_plugin.errors import ConfigError
from rtmo_plugin.serving.connections import MAX_CONNECTIONS, LimitedProtocol


def open_port(host: str, port: int) -> socket.socket:
    """Return a socket that listens for connections.

    Args:
        host: Address or name of this machine.
        port: Port number; 0 for any free port.

    Raises:
        ConfigError: The port is taken, or the address is not one of this machine.
    """
    if not 0 <= port < 2**16:
        raise ConfigError(f"--port {port}: ports go from 0 to {2**16 - 1}.")
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family)
    except socket.gaierror as error:
        raise ConfigError(f"--host {host} is not an address of this machine: {error.strerror}.") from error
    except OSError as error:
        reason = os.strerror(error.errno or 0)  # the error's own text repeats the address
        raise ConfigError(f"{host}:{port} cannot be opened ({reason}): choose another --port, or 0 for any.") from error


def is_loopback(listener: socket.socket) -> bool:
    """Whether only this machine reaches a socket."""
    return ip_address(listener.getsockname()[0]).is_loopback


def get_address(listener: socket.socket) -> str:
    """Return the address of the page for a browser on this machine."""
    host, port = listener.getsockname()[:2]
    if ip_address(host).is_unspecified:  # all addresses, localhost included
        return f"http://localhost:{port}"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def announce(listener: socket.socket, *, is_opened: bool) -> None:
    """Print the address of the page, and a warning if other machines reach it.

    Args:
        listener: Socket of the server.
        is_opened: Whether the page is opened in the browser too.
    """
    address = get_address(listener)
    print(f"The page is {address}; Ctrl-C ends it.", flush=True)
    if is_opened:
        webbrowser.open(address)  # the socket listens already, so the page loads as soon as the server runs
    if not is_loopback(listener):
        host, port = listener.getsockname()[:2]
        print(
            f"warning: {host}:{port} is open to all machines that reach this one, without a password and "
            "without encryption; leave out --host to keep it to this machine.",
            file=sys.stderr,
        )


class _Server(uvicorn.Server):
    """Ends without a traceback for each canceled request."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close all connections, and cancel requests that outlast the graceful shutdown."""
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        await super().shutdown(sockets)


def run(app: Any, listener: socket.socket) -> None:
    """Serve until Ctrl-C or a signal ends the process."""
    config = uvicorn.Config(
        app,
        http=LimitedProtocol,
        log_level="error",  # warnings concern malformed requests, which anyone can send
        limit_concurrency=MAX_CONNECTIONS + 1,
        timeout_graceful_shutdown=2,
        server_header=False,
        lifespan="off",
        ws="none",
    )
    with suppress(KeyboardInterrupt):  # the normal end
        _Server(config).run(sockets=[listener])
