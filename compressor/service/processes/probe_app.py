"""The application of the probe port: health checks, and metrics if they are wanted, for clients without a key."""

from __future__ import annotations

from typing import Any

from compressor.service.http_errors import HttpError, send_error

PATHS = ("/healthz", "/readyz")


class ProbeApp:
    """An ASGI application with no other routes.

    Args:
        api: The application that has the routes.
        has_metrics: Whether it also shows the metrics of all tenants.
    """

    def __init__(self, api: Any, has_metrics: bool) -> None:
        self._api, self._paths = api, (*PATHS, "/metrics") if has_metrics else PATHS

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serves a request."""
        if scope["path"] in self._paths and scope["method"] in ("GET", "HEAD"):
            await self._api({**scope, "compressor": (None, b""), "compressor.admin": True}, receive, send)
            return
        await send_error(send, HttpError(404, "not_found", f"This port has only {', '.join(self._paths)} (GET)"))
