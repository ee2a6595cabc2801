"""The routes for tenants under `/admin/v1/tenants`, and the audit log."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from compressor.service.admin.control_plane import ControlPlane
from compressor.service.admin.requests import (
    HEADERS,
    AdminExecutor,
    Limit,
    Offset,
    TenantPath,
    make_admin_router,
    page,
    who,
)
from compressor.service.admin.schemas import TenantSettingsRequest
from compressor.service.api import JsonResponse, JsonRoute
from compressor.service.http_errors import HttpError
from compressor.service.tenant_settings import TenantSettings
from compressor.service.tenants import LOCAL_TENANT

DAY = 86_400
_FIGURES = ("calls", "before", "after", "saved", "fallbacks")


def tenant_router(plane: ControlPlane, executor: AdminExecutor) -> APIRouter:
    """Returns the routes.

    Args:
        plane: The control plane.
        executor: Runs the work.
    """
    routes = make_admin_router("/admin/v1", JsonRoute)

    @routes.get("/tenants")
    async def list_tenants(
        request: Request,
        q: Annotated[str, Query(max_length=64, description="Only names with this text in them.")] = "",
        limit: Limit = 100,
        offset: Offset = 0,
    ) -> JsonResponse:
        """Returns the tenants that have keys, settings or requests, by name, with figures of the last 30 days."""

        def run() -> dict[str, Any]:
            plane.refresh()
            names = [name for name in known_tenants(plane) if q.casefold() in name.casefold()]
            shown, where = page(names, limit, offset)
            return {"tenants": [_describe(plane, name) for name in shown], **where}

        return JsonResponse(await executor.run(run), headers=HEADERS)

    @routes.get("/tenants/{tenant}")
    async def show_tenant(request: Request, tenant: TenantPath) -> JsonResponse:
        """Returns one tenant."""

        def run() -> dict[str, Any]:
            plane.refresh()
            return _describe(plane, tenant)

        return JsonResponse(await executor.run(run), headers=HEADERS)

    @routes.get("/tenants/{tenant}/settings")
    async def show_settings(request: Request, tenant: TenantPath) -> JsonResponse:
        """Returns the settings as they hold for a tenant, and where they come from."""

        def run() -> dict[str, Any]:
            plane.refresh()
            return _settings(plane, tenant)

        return JsonResponse(await executor.run(run), headers=HEADERS)

    async def set_settings(request: Request, tenant: str, body: Mapping[str, Any], replaced: bool) -> JsonResponse:
        def change(old: Mapping[str, Any]) -> Mapping[str, Any]:
            merged = {**({} if replaced else old), **body}
            return {name: value for name, value in merged.items() if value is not None}

        def run() -> dict[str, Any]:
            plane.set_tenant_settings(tenant, change)
            return _settings(plane, tenant)

        act = "tenant.settings.replace" if replaced else "tenant.settings.change"
        fields = sorted(body)[:50]
        made = await executor.run(
            lambda: plane.audited(who(request), act, tenant, run, fields=[field[:64] for field in fields])
        )
        return JsonResponse(made, headers=HEADERS)

    @routes.put("/tenants/{tenant}/settings")
    async def put_settings(request: Request, tenant: TenantPath, body: TenantSettingsRequest) -> JsonResponse:
        """Replaces the settings that a tenant has for itself. They come before those of the configuration."""
        return await set_settings(request, tenant, body.model_extra or {}, True)

    @routes.patch("/tenants/{tenant}/settings")
    async def patch_settings(request: Request, tenant: TenantPath, body: TenantSettingsRequest) -> JsonResponse:
        """Changes some of a tenant's settings; null removes one."""
        return await set_settings(request, tenant, body.model_extra or {}, False)

    @routes.delete("/tenants/{tenant}/settings")
    async def delete_settings(request: Request, tenant: TenantPath) -> JsonResponse:
        """Removes all settings that a tenant has for itself in the database."""
        return await set_settings(request, tenant, {}, True)

    @routes.get("/tenants/{tenant}/usage")
    async def show_usage(request: Request, tenant: TenantPath) -> JsonResponse:
        """Returns how much of its limits a tenant has used."""
        limiter = (await executor.run(lambda: plane.tenants.get(tenant))).rate_limiter
        usage = getattr(limiter, "usage", None)
        return JsonResponse({"tenant": tenant, "usage": [] if usage is None else await usage()}, headers=HEADERS)

    @routes.delete("/tenants/{tenant}/usage")
    async def reset_usage(request: Request, tenant: TenantPath) -> JsonResponse:
        """Resets what a tenant has used of its limits."""
        limiter = (await executor.run(lambda: plane.tenants.get(tenant))).rate_limiter
        reset = getattr(limiter, "reset", None)
        if reset is None:
            raise HttpError(404, "not_supported", "This version cannot reset what a tenant has used")
        await reset()
        await executor.run(lambda: plane.audited(who(request), "tenant.usage.reset", tenant, lambda: None))
        return JsonResponse({"tenant": tenant, "reset": True}, headers=HEADERS)

    @routes.delete("/tenants/{tenant}/data")
    async def erase_tenant(
        request: Request,
        tenant: TenantPath,
        settings: Annotated[bool, Query(description="Remove the tenant's settings as well.")] = False,
    ) -> JsonResponse:
        """Erases everything stored for a tenant: originals, results, sessions, usage. Keys and the audit log stay."""
        done = await executor.run_long(
            lambda: plane.audited(who(request), "tenant.erase", tenant, lambda: plane.erase(tenant, settings))
        )
        return JsonResponse({"erased": done}, headers=HEADERS)

    @routes.get("/audit")
    async def audit(
        request: Request,
        limit: Limit = 100,
        before: Annotated[int | None, Query(ge=1, description="Only records with smaller numbers.")] = None,
    ) -> JsonResponse:
        """Returns what administrators did, the newest first."""
        records, following = await executor.run(lambda: plane.audit.read(limit, before))
        return JsonResponse({"records": records, "next_before": following}, headers=HEADERS)

    return routes


def known_tenants(plane: ControlPlane) -> list[str]:
    """Returns the names of all tenants that the service knows, sorted."""
    names = {tenant.name for tenant in plane.tenants.list_created()}
    if not plane.directory.is_required:
        return sorted(names | {LOCAL_TENANT})
    names |= {key.tenant for key in plane.keys.list_keys()}
    return sorted(names | plane.control.state.settings.keys() | plane.tenants.config.tenants.keys())


def _describe(plane: ControlPlane, name: str) -> dict[str, Any]:
    keys = [key for key in plane.keys.list_keys() if key.tenant == name]
    made: dict[str, Any] = {"tenant": name, "keys": len(keys)}
    made["valid_keys"] = sum(key.state() == "valid" for key in keys)
    made["admin_keys"] = sum(key.admin for key in keys)
    made["settings"] = sorted(plane.control.state.settings.get(name, {}))
    plane.tenants.get(name)  # or its usage could not be read
    series, is_reachable = plane.recorder.series(name)
    total = series.total(time.time(), 30 * DAY, 6 * 3600)
    made["sessions"] = len(series.sessions)
    made["last_30_days"] = {field: total[field] for field in _FIGURES if field in total}
    return made | {"store": "ok" if is_reachable else "unreachable"}


def _settings(plane: ControlPlane, tenant: str) -> dict[str, Any]:
    own = plane.control.state.settings.get(tenant, {})
    configured = plane.tenants.config.tenants.get(tenant, {})
    effective = plane.tenants.config.for_tenant(tenant, own)
    shown = effective.model_dump(mode="json", include=set(TenantSettings.model_fields))  # hides secrets
    return {
        "tenant": tenant,
        "database": {name: shown.get(name) for name in own},
        "configuration": {name: shown.get(name) for name in configured if name not in own},
        "effective": shown,
    }
