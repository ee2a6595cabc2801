"""All routes of the control plane."""

from __future__ import annotations

from fastapi import APIRouter

from compressor.service.admin.content_routes import content_router, own_router
from compressor.service.admin.control_plane import ControlPlane
from compressor.service.admin.key_routes import key_router
from compressor.service.admin.requests import AdminExecutor
from compressor.service.admin.tenant_routes import tenant_router


def admin_routers(plane: ControlPlane) -> list[APIRouter]:
    """Returns the routes under `/admin/v1`, and those by which a tenant deletes what is its own.

    Args:
        plane: The control plane.
    """
    executor = AdminExecutor(plane.config.timeout)
    own = [key_router(plane, executor), tenant_router(plane, executor), content_router(plane, executor)]
    return [*own, own_router(plane)]
