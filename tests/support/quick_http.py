"""Makes servers and clients in this process cheaper to begin and to end: the tests have thousands of them."""

from __future__ import annotations

import asyncio
import functools
import importlib.util
import os
import ssl
import types
from typing import Any

TICK = 0.01  # seconds; uvicorn looks ten times a second whether it has to end, and waits as long once more


class _ShortSleeps(types.ModuleType):
    """Is asyncio, but for `sleep`."""

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    @staticmethod
    async def sleep(seconds: float) -> None:
        await asyncio.sleep(min(seconds, TICK))


def make_http_quick() -> None:
    """Lets uvicorn end at once, and lets clients share what they know of certificates, which takes 20 ms to read."""
    if importlib.util.find_spec("uvicorn"):
        import uvicorn.server

        uvicorn.server.asyncio = _ShortSleeps("asyncio")  # type: ignore[attr-defined]
    if importlib.util.find_spec("httpx"):
        import httpx._transports.default as transports

        create, usual = transports.create_ssl_context, functools.cache(transports.create_ssl_context)

        def create_ssl_context(verify: Any = True, cert: Any = None, trust_env: bool = True) -> ssl.SSLContext:
            is_usual = verify is True and cert is None and not {"SSL_CERT_FILE", "SSL_CERT_DIR"} & os.environ.keys()
            return usual() if is_usual else create(verify, cert, trust_env)

        transports.create_ssl_context = create_ssl_context
