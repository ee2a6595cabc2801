"""Puts the service together: `create_app(config)` is an ASGI application for any server. Starts none (`command`)."""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from compressor.errors import CompressorError, DeviceError, MissingDependencyError, ModelError, StoreError
from compressor.service.settings import Settings

if TYPE_CHECKING:
    from fastapi import FastAPI, Request, Response

    from compressor.service.request_handler import RequestHandler
    from compressor.service.telemetry.metrics import Metrics
    from compressor.service.tenants import Tenants

FRESH = 5.0  # seconds
log = logging.getLogger("compressor.service")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")  # in an error's message: names of sessions and refs


def create_app(config: Settings | None = None) -> RequestHandler:
    """The service. MissingDependencyError without the packages of the extra "service", DeviceError or ModelError for a scorer
    that cannot be had."""
    for package in ("fastapi", "httpx", "prometheus_client"):
        _require_package(package)
    from fastapi import FastAPI

    from compressor._version import __version__
    from compressor.scoring.runtime.executor import run_in_thread
    from compressor.service.api import router
    from compressor.service.dashboard.api import router as dashboard
    from compressor.service.dashboard.usage_recorder import UsageRecorder
    from compressor.service.proxy.proxy import Proxy
    from compressor.service.request_handler import RequestHandler
    from compressor.service.telemetry.metrics import Metrics
    from compressor.service.telemetry.tracing import Tracing, is_enabled
    from compressor.service.tenants import Tenants

    config = config or Settings()
    tracing = Tracing() if is_enabled(config.otel, os.environ) else None
    metrics, tenants = Metrics(), Tenants(config)
    metrics.sources.append(lambda: _sample(metrics, tenants))
    ledger = UsageRecorder(metrics, tenants.usage_source)
    proxy = Proxy(config, metrics)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        watching = asyncio.create_task(_watch(metrics))
        ledger.start()
        yield
        watching.cancel()
        if tracing is not None:
            await run_in_thread(tracing.close)
        await proxy.close()
        await run_in_thread(ledger.close)
        tenants.close()

    # Newer versions have traces and logs of their own, which quote what went wrong. Older ones take this for a remark.
    quiet: Any = {
        "telemetry": dict.fromkeys(("tracing", "metrics", "logs", "operation_spans", "auto_configure"), False)
    }
    api = FastAPI(
        title="Agentic compressor",
        version=__version__,
        description="Compresses what an agent is about to send, and gives every dropped byte back.",
        docs_url=None,  # they load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        **quiet,
    )
    api.state.config, api.state.draining = config, False
    api.include_router(router(config, tenants, metrics))
    api.include_router(dashboard(config, ledger))
    _answer_errors(api)
    return RequestHandler(config, tenants, metrics, api, proxy, tracing)


def _sample(metrics: Metrics, tenants: Tenants) -> None:
    """Takes the numbers of now that nobody tells."""
    metrics.record_store_health(tenants.health())
    for tenant in tenants.list_created():
        metrics.sessions.labels(tenant.name).set(tenant.count_open())


async def _watch(metrics: Metrics) -> None:
    """Takes them now and then, where another process may be asked for them."""
    from compressor.scoring.runtime.executor import run_in_thread

    while metrics.is_multiprocess:
        await run_in_thread(metrics.refresh)
        await asyncio.sleep(FRESH)


def _answer_errors(api: FastAPI) -> None:
    from fastapi.exceptions import RequestValidationError
    from starlette.exceptions import HTTPException

    from compressor.service.api import JsonResponse
    from compressor.service.http_errors import HttpError, to_http_error

    def answer(refused: HttpError) -> Response:
        return JsonResponse(refused.body, refused.status, headers=refused.headers)

    async def ours(_: Request, error: Exception) -> Response:
        if isinstance(error, (StoreError, ModelError, DeviceError)):  # the client is only told that the log says more
            log.warning("not possible now: %s: %s", type(error).__name__, _QUOTED.sub("'…'", str(error)))
        elif not isinstance(error, HttpError):
            log.info("refused: %s", type(error).__name__)
        return answer(to_http_error(error))

    async def broken(_: Request, error: Exception) -> Response:
        return answer(to_http_error(error))  # it is raised again, and the gate logs it

    async def invalid(_: Request, error: Any) -> Response:
        wrong = error.errors()[0]  # without the input: it may be long, and is not ours to repeat
        where = ".".join(str(part) for part in wrong.get("loc", ()) if part != "body")
        return answer(
            HttpError(422, "invalid_request", f"{where or 'the body (application/json)'}: {wrong.get('msg')}")
        )

    async def http(_: Request, error: Any) -> Response:
        kinds = {404: "not_found", 405: "method_not_allowed"}
        return answer(
            HttpError(error.status_code, kinds.get(error.status_code, "refused"), str(error.detail), error.headers)
        )

    api.add_exception_handler(CompressorError, ours)
    api.add_exception_handler(HttpError, ours)
    api.add_exception_handler(Exception, broken)
    api.add_exception_handler(RequestValidationError, invalid)
    api.add_exception_handler(HTTPException, http)


def _require_package(package: str) -> None:
    import importlib.util

    if importlib.util.find_spec(package) is None:
        raise MissingDependencyError(package.replace("_", "-"), "service")
