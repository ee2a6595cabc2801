"""Puts the service together: `create_app(config)` returns an ASGI application for any server."""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from compressor.errors import CompressorError, DeviceError, MissingDependencyError, ModelError, StoreError

if TYPE_CHECKING:
    from fastapi import FastAPI, Request, Response

    from compressor.service.request_handler import RequestHandler
    from compressor.service.settings import Settings
    from compressor.service.telemetry.metrics import Metrics
    from compressor.service.tenants import Tenants

REFRESH_INTERVAL = 5.0  # seconds between two updates of the gauges, if there are several processes
log = logging.getLogger("compressor.service")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")  # session ids and refs in the message of an error


def create_app(config: Settings | None = None) -> RequestHandler:
    """Creates the service.

    Args:
        config: The settings; by default those of `Settings()`.

    Raises:
        MissingDependencyError: A package of the extra "service" is not installed.
        CompressorError: The store or the scorer cannot be opened.
    """
    for package in ("fastapi", "httpx", "prometheus_client", "pydantic_settings"):
        _require_package(package)
    from fastapi import FastAPI

    from compressor._version import __version__
    from compressor.scoring.runtime.executor import run_in_thread
    from compressor.service.admin.control_plane import ControlPlane
    from compressor.service.admin.routes import admin_routers
    from compressor.service.api import router
    from compressor.service.dashboard.api import router as dashboard
    from compressor.service.dashboard.usage_recorder import UsageRecorder
    from compressor.service.key_directory import KeyDirectory
    from compressor.service.proxy.proxy import Proxy
    from compressor.service.request_handler import RequestHandler
    from compressor.service.settings import Settings
    from compressor.service.telemetry.metrics import Metrics
    from compressor.service.telemetry.tracing import Tracing, is_enabled
    from compressor.service.tenants import Tenants

    config = config or Settings()
    tracing = Tracing() if is_enabled(config.otel, os.environ) else None
    metrics, tenants = Metrics(), Tenants(config)
    metrics.sources.append(lambda: _update_gauges(metrics, tenants))
    usage_recorder = UsageRecorder(metrics, tenants.usage_source)
    proxy = Proxy(config, metrics)
    keys = KeyDirectory(config.keys, config.needs_keys)
    plane = ControlPlane(config, tenants, keys, usage_recorder)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        updates = asyncio.create_task(_update_regularly(metrics))
        usage_recorder.start()
        plane.start(asyncio.get_running_loop())
        yield
        updates.cancel()
        await run_in_thread(plane.close)
        if tracing is not None:
            await run_in_thread(tracing.close)
        await proxy.close()
        await run_in_thread(usage_recorder.close)
        tenants.close()

    # Newer versions of FastAPI have traces and logs of their own, which quote errors. Older ones ignore this argument.
    quiet: Any = {
        "telemetry": dict.fromkeys(("tracing", "metrics", "logs", "operation_spans", "auto_configure"), False)
    }
    api = FastAPI(
        title="Agentic compressor",
        version=__version__,
        description="Compresses what an agent is about to send, and gives every dropped byte back.",
        docs_url=None,  # it loads scripts from other sites
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        **quiet,
    )
    api.state.config, api.state.draining = config, False
    api.include_router(router(config, tenants, metrics))
    api.include_router(dashboard(config, usage_recorder))
    for one in admin_routers(plane):
        api.include_router(one)
    _answer_errors(api)
    return RequestHandler(config, tenants, metrics, api, proxy, tracing, keys)


def _update_gauges(metrics: Metrics, tenants: Tenants) -> None:
    """Sets the gauges that no event sets."""
    metrics.record_store_health(tenants.health())
    for tenant in tenants.list_created():
        metrics.sessions.labels(tenant.name).set(tenant.count_open())


async def _update_regularly(metrics: Metrics) -> None:
    """Sets the gauges every few seconds, because another process may be asked for the metrics."""
    from compressor.scoring.runtime.executor import run_in_thread

    while metrics.is_multiprocess:
        await run_in_thread(metrics.refresh)
        await asyncio.sleep(REFRESH_INTERVAL)


def _answer_errors(api: FastAPI) -> None:
    from fastapi.exceptions import RequestValidationError
    from starlette.exceptions import HTTPException

    from compressor.service.api import JsonResponse
    from compressor.service.http_errors import HttpError, to_http_error

    def answer(error: HttpError) -> Response:
        return JsonResponse(error.body, error.status, headers=error.headers)

    async def ours(_: Request, error: Exception) -> Response:
        if isinstance(error, (StoreError, ModelError, DeviceError)):  # the client is only told to see the log
            log.warning("request failed: %s: %s", type(error).__name__, _QUOTED.sub("'…'", str(error)))
        elif not isinstance(error, HttpError):
            log.info("request rejected: %s", type(error).__name__)
        return answer(to_http_error(error))

    async def broken(_: Request, error: Exception) -> Response:
        return answer(to_http_error(error))  # Starlette raises it again, and the request handler logs it

    async def invalid(_: Request, error: Any) -> Response:
        first = error.errors()[0]  # without the input, which may be long and is the client's
        where = ".".join(str(part) for part in first.get("loc", ()) if part != "body")
        return answer(
            HttpError(422, "invalid_request", f"{where or 'The request body (application/json)'}: {first.get('msg')}")
        )

    async def http(_: Request, error: Any) -> Response:
        kinds = {404: "not_found", 405: "method_not_allowed"}
        return answer(
            HttpError(error.status_code, kinds.get(error.status_code, "rejected"), str(error.detail), error.headers)
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
