"""Puts the service together: `create_app(config)` returns an ASGI application for any server."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from compressor.errors import MissingDependencyError

if TYPE_CHECKING:
    from fastapi import FastAPI

    from compressor.service.request_handler import RequestHandler
    from compressor.service.settings import Settings
    from compressor.service.telemetry.metrics import Metrics
    from compressor.service.tenants import Tenants

REFRESH_INTERVAL = 5.0  # seconds between two updates of the gauges, if there are several processes
log = logging.getLogger("compressor.service")


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
    from compressor.service.dashboard.breakdown_api import router as breakdown
    from compressor.service.dashboard.image_api import router as images
    from compressor.service.dashboard.usage_recorder import UsageRecorder
    from compressor.service.direct_routes import DirectRoutes
    from compressor.service.error_answers import answer_error, answer_errors
    from compressor.service.group_figures import GroupFigures
    from compressor.service.key_directory import KeyDirectory
    from compressor.service.proxy.proxy import Proxy
    from compressor.service.request_handler import RequestHandler
    from compressor.service.rollout_api import router as rollout_router
    from compressor.service.settings import Settings
    from compressor.service.telemetry.metrics import Metrics
    from compressor.service.telemetry.tracing import Tracing, is_enabled
    from compressor.service.tenants import Tenants

    config = config or Settings()
    tracing = Tracing() if is_enabled(config.otel, os.environ) else None
    metrics, tenants = Metrics(), Tenants(config)
    metrics.sources.append(lambda: _update_gauges(metrics, tenants))
    usage_recorder = UsageRecorder(metrics, tenants.usage_source)
    figures = GroupFigures(metrics)
    proxy = Proxy(config, metrics, figures)
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
    routes = router(config, tenants, metrics, figures)
    api.include_router(routes)
    api.include_router(dashboard(config, usage_recorder))
    api.include_router(breakdown(usage_recorder, tenants))
    api.include_router(images(config))
    api.include_router(rollout_router(figures))
    for one in admin_routers(plane):
        api.include_router(one)
    answer_errors(api)
    direct = DirectRoutes(routes.routes, config.max_json_depth, answer_error)
    return RequestHandler(config, tenants, metrics, api, proxy, tracing, keys, direct)


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


def _require_package(package: str) -> None:
    import importlib.util

    if importlib.util.find_spec(package) is None:
        raise MissingDependencyError(package.replace("_", "-"), "service")
