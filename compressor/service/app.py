"""Puts the service together: `create_app(config)` is an ASGI application for any server. Starts none (`command`)."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from compressor.errors import CompressorError, MissingExtra
from compressor.service.config import Config

if TYPE_CHECKING:
    from fastapi import FastAPI, Request, Response

    from compressor.service.gate import Gate

log = logging.getLogger("compressor.service")


def create_app(config: Config | None = None) -> Gate:
    """The service. MissingExtra without the packages of the extra "service", DeviceError or ModelError for a scorer
    that cannot be had."""
    for package in ("fastapi", "httpx", "prometheus_client"):
        _need(package)
    from fastapi import FastAPI

    from compressor import __version__
    from compressor.service.gate import Gate
    from compressor.service.metrics import Metrics
    from compressor.service.proxy import Proxy
    from compressor.service.routes import router
    from compressor.service.tenants import Tenants

    config = config or Config()
    metrics, tenants = Metrics(), Tenants(config)
    proxy = Proxy(config, metrics)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await proxy.close()
        tenants.close()

    api = FastAPI(
        title="Agentic compressor",
        version=__version__,
        description="Compresses what an agent is about to send, and gives every dropped byte back.",
        docs_url=None,  # they load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    api.state.config = config
    api.include_router(router(config, tenants, metrics))
    _answer_errors(api)
    return Gate(config, tenants, metrics, api, proxy)


def _answer_errors(api: FastAPI) -> None:
    from fastapi.exceptions import RequestValidationError
    from starlette.exceptions import HTTPException

    from compressor.service.problems import Refused, refusal
    from compressor.service.routes import Answer

    def answer(refused: Refused) -> Response:
        return Answer(refused.body, refused.status, headers=refused.headers)

    async def ours(_: Request, error: Exception) -> Response:
        if not isinstance(error, Refused):
            log.info("refused: %s", type(error).__name__)
        return answer(refusal(error))

    async def broken(_: Request, error: Exception) -> Response:
        return answer(refusal(error))  # it is raised again, and the gate logs it

    async def invalid(_: Request, error: Any) -> Response:
        wrong = error.errors()[0]  # without the input: it may be long, and is not ours to repeat
        where = ".".join(str(part) for part in wrong.get("loc", ()) if part != "body")
        return answer(Refused(422, "invalid_request", f"{where or 'the body (application/json)'}: {wrong.get('msg')}"))

    async def http(_: Request, error: Any) -> Response:
        kinds = {404: "not_found", 405: "method_not_allowed"}
        return answer(
            Refused(error.status_code, kinds.get(error.status_code, "refused"), str(error.detail), error.headers)
        )

    api.add_exception_handler(CompressorError, ours)
    api.add_exception_handler(Refused, ours)
    api.add_exception_handler(Exception, broken)
    api.add_exception_handler(RequestValidationError, invalid)
    api.add_exception_handler(HTTPException, http)


def _need(package: str) -> None:
    import importlib.util

    if importlib.util.find_spec(package) is None:
        raise MissingExtra(package.replace("_", "-"), "service")
