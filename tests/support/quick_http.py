"""Makes servers and clients in this process cheaper to begin and to end: the tests have thousands of them."""

from __future__ import annotations

import asyncio
import functools
import importlib
import importlib.util
import os
import ssl
import types
from collections.abc import Callable
from typing import Any, get_args

TICK = 0.01  # seconds; uvicorn looks ten times a second whether it has to end, and waits as long once more


class _ShortSleeps(types.ModuleType):
    """Is asyncio, but for `sleep`."""

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    @staticmethod
    async def sleep(seconds: float) -> None:
        await asyncio.sleep(min(seconds, TICK))


def make_http_quick() -> None:
    """Lets uvicorn end at once, and shares what is the same for all clients and for all services."""
    if importlib.util.find_spec("uvicorn"):
        importlib.import_module("uvicorn.server").asyncio = _ShortSleeps("asyncio")  # type: ignore[attr-defined]
    for name in ("httpx", "httpx2"):
        if importlib.util.find_spec(name):
            transports: Any = importlib.import_module(f"{name}._transports.default")
            transports.create_ssl_context = _sharing_certificates(transports.create_ssl_context)
    if importlib.util.find_spec("fastapi"):
        fields: Any = importlib.import_module("fastapi._compat.v2")
        fields.TypeAdapter = _sharing_adapters(fields.TypeAdapter)


def _sharing_certificates(create: Callable[..., ssl.SSLContext]) -> Callable[..., ssl.SSLContext]:
    """Reads the authorities' certificates once, which takes from 20 to 60 ms."""

    @functools.cache
    def usual(trust_env: bool, *where: str | None) -> ssl.SSLContext:
        return create(verify=True, trust_env=trust_env)

    def create_ssl_context(verify: Any = True, cert: Any = None, trust_env: bool = True) -> ssl.SSLContext:
        if verify is True and cert is None:
            return usual(trust_env, os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))
        return create(verify=verify, cert=cert, trust_env=trust_env)

    return create_ssl_context


def _sharing_adapters(create: Callable[..., Any]) -> Callable[..., Any]:
    """Prepares each model of a response once: a service's routes have 400 of them, and most are the same."""
    made: dict[tuple[type, str], Any] = {}

    def adapter(annotation: Any, *, config: Any = None) -> Any:
        model, *metadata = get_args(annotation) or (None,)
        if config is not None or not hasattr(model, "model_fields"):
            return create(annotation, config=config)
        key = (model, repr(metadata))
        if key not in made:
            made[key] = create(annotation)
        return made[key]

    return adapter
