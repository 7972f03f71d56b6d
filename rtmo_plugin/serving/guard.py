"""Access to the server: allowed for its own page and for programs, refused for other sites in the browser."""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

_HEADERS = {
    # The page loads its own files only; blob: and data: are images that it makes itself.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' blob: data:; media-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Guard:
    """Refuses requests with foreign host names and from foreign pages, and adds headers that isolate the page.

    A site can point its own name to the address of this machine (DNS rebinding), and then has the same origin; but the
    browser still sends that name in ``Host``. An address in numbers involves no name, so it is allowed.

    Args:
        app: Application to protect.
        names: Host names of the server, besides ``localhost`` and addresses.
    """

    def __init__(self, app: ASGIApp, names: Collection[str] = ()) -> None:
        self._app = app
        self._names = {"localhost", *(name.lower() for name in names)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a request, or pass it to the application."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = self._check(Headers(scope=scope))
        answer = JSONResponse({"error": refusal[1]}, refusal[0]) if refusal else self._app

        async def send_guarded(message: Any) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        await answer(scope, receive, send_guarded)

    def _check(self, headers: Headers) -> tuple[int, str] | None:
        """Return status and sentence of a refusal, or None."""
        host, origin = headers.get("host", ""), headers.get("origin")
        try:
            name = urlsplit(f"//{host}").hostname or ""
            is_own = name in self._names or bool(ip_address(name))
        except ValueError:  # neither a name of ours nor an address, or malformed as "[::1" is
            is_own = False
        if not is_own:
            return 421, f"This server does not answer to the name {host!r}: start it with --allow-host NAME."
        if origin is not None and origin.partition("://")[2].lower() != host.lower():
            return 403, "Pages of other sites are not answered."
        return None
