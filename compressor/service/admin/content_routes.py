"""The routes for sessions and refs: those of all tenants for administrators, and a tenant's own deletions."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from compressor.service.admin.control_plane import ControlPlane
from compressor.service.admin.ref_entries import delete_ref, describe_ref
from compressor.service.admin.requests import (
    HEADERS,
    NOT_FOUND,
    AdminExecutor,
    Limit,
    Offset,
    RefPath,
    TenantPath,
    make_admin_router,
    page,
    who,
)
from compressor.service.admin.session_deletion import delete_session, delete_unnamed
from compressor.service.admin.tenant_routes import known_tenants
from compressor.service.api import ERROR_RESPONSES, REF_RESPONSES, JsonResponse
from compressor.service.http_errors import HttpError
from compressor.service.session_ids import SessionId
from compressor.service.tenants import Tenant


def content_router(plane: ControlPlane, executor: AdminExecutor) -> APIRouter:
    """Returns the routes for administrators.

    Args:
        plane: The control plane.
        executor: Runs the work.
    """
    routes = make_admin_router("/admin/v1")

    @routes.get("/sessions")
    async def list_sessions(
        request: Request,
        tenant: Annotated[str, Query(max_length=64, description="Only sessions of this tenant.")] = "",
        q: Annotated[str, Query(max_length=200, description="Only ids or models with this text in them.")] = "",
        limit: Limit = 100,
        offset: Offset = 0,
    ) -> JsonResponse:
        """Returns the sessions and recognised conversations of all tenants, those used last first."""

        def run() -> dict[str, Any]:
            plane.refresh()
            names = [name for name in known_tenants(plane) if tenant in ("", name)]
            found: list[dict[str, Any]] = []
            for name in names:
                plane.tenants.get(name)
                series, _ = plane.recorder.series(name)
                found += [{"tenant": name, "id": id, **usage} for id, usage in series.sessions.items()]
            text = q.casefold()
            found = [one for one in found if text in f"{one['id']}\n{one.get('model', '')}".casefold()]
            found.sort(key=lambda one: (-one["last"], one["tenant"], one["id"]))
            shown, where = page(found, limit, offset)
            return {"sessions": shown, **where}

        return JsonResponse(await executor.run(run), headers=HEADERS)

    @routes.get("/tenants/{tenant}/sessions/{id}", responses=NOT_FOUND)
    async def show_session(request: Request, tenant: TenantPath, id: SessionId) -> JsonResponse:
        """Returns what a session is and costs, without its content."""

        def run() -> dict[str, Any]:
            session = plane.tenants.get(tenant).sessions.get(id, {})
            report = session.cost_report()
            more = {"saved_cost": report.saved_cost, "cached_fraction": report.cached_fraction}
            model = (session.model or "").removeprefix(":")
            made = {"tenant": tenant, "id": id, "model": model, "count": session.count}
            return {**made, "cost_report": {**asdict(report), **more}, "warnings": list(session.warnings)}

        return JsonResponse(await executor.run(run), headers=HEADERS)

    @routes.delete("/tenants/{tenant}/sessions/{id}", responses=NOT_FOUND)
    async def remove_session(request: Request, tenant: TenantPath, id: SessionId) -> JsonResponse:
        """Deletes a session, and the originals that no other session of its tenant may read."""

        def run() -> dict[str, Any]:
            return _delete_session(plane, plane.tenants.get(tenant), id)

        return JsonResponse(
            await executor.run(lambda: plane.audited(who(request), "session.delete", f"{tenant}/{id}", run)),
            headers=HEADERS,
        )

    @routes.get("/tenants/{tenant}/refs/{ref}", responses=NOT_FOUND)
    async def show_ref(request: Request, tenant: TenantPath, ref: RefPath) -> JsonResponse:
        """Returns what the store knows about the original of a ref, without its content. Does not renew its TTL."""
        described = await executor.run(lambda: describe_ref(plane.tenants.get(tenant).compressor.store, ref))
        return JsonResponse({"tenant": tenant, **described}, headers=HEADERS)

    @routes.delete("/tenants/{tenant}/refs/{ref}", responses=NOT_FOUND)
    async def remove_ref(request: Request, tenant: TenantPath, ref: RefPath) -> JsonResponse:
        """Deletes the original of a ref. From then on it reads as expired."""

        def run() -> dict[str, Any]:
            return _delete_ref(plane, plane.tenants.get(tenant), ref)

        return JsonResponse(
            await executor.run(lambda: plane.audited(who(request), "ref.delete", f"{tenant}/{ref}", run)),
            headers=HEADERS,
        )

    return routes


def own_router(plane: ControlPlane) -> APIRouter:
    """Returns the routes by which a tenant deletes what is its own.

    Args:
        plane: The control plane.
    """
    routes = APIRouter(responses=ERROR_RESPONSES | REF_RESPONSES)

    @routes.delete("/v1/sessions/{id}", tags=["sessions"])
    async def remove_session(request: Request, id: SessionId) -> JsonResponse:
        """Deletes a session, and the originals that no other session may read."""
        tenant: Tenant = request.scope["compressor"][0]
        return JsonResponse(await tenant.executor.run(_delete_session, plane, tenant, id), headers=HEADERS)

    @routes.delete("/v1/retrieve/{ref}", tags=["compress"])
    async def remove_ref(request: Request, ref: RefPath) -> JsonResponse:
        """Deletes the original of a ref. From then on it reads as expired."""
        tenant: Tenant = request.scope["compressor"][0]
        return JsonResponse(await tenant.executor.run(_delete_ref, plane, tenant, ref), headers=HEADERS)

    return routes


def _delete_session(plane: ControlPlane, tenant: Tenant, id: str) -> dict[str, Any]:
    store = tenant.compressor.store
    try:
        deleted = delete_session(store, id)
    except HttpError:
        deleted = delete_unnamed(store, id, tenant.conversations.find(id) is not None)
    plane.forget(tenant.name, deleted.keys, id)
    plane.recorder.forget_session(tenant.name, id, in_store=True)
    return {"deleted": id, "originals": deleted.originals, "kept_originals": deleted.kept}


def _delete_ref(plane: ControlPlane, tenant: Tenant, ref: str) -> dict[str, Any]:
    keys = delete_ref(tenant.compressor.store, ref)
    plane.forget(tenant.name, keys)
    return {"deleted": ref}
