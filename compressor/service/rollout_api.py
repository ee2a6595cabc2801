"""The routes about modes and rollouts."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from compressor.service.group_comparison import (
    MIN_CALLS,
    MIN_CONVERSATIONS,
    compare,
    describe_audit,
    describe_group,
)
from compressor.service.group_figures import GroupFigures
from compressor.service.modes import GROUPS
from compressor.service.tenants import Tenant


def router(figures: GroupFigures) -> APIRouter:
    """Returns the routes.

    Args:
        figures: The figures of the groups.
    """
    routes = APIRouter()

    @routes.get("/v1/stats/rollout", tags=["service"])
    def rollout(request: Request) -> dict[str, Any]:
        """Compares what the provider bills for compressed conversations and for those held out.

        The figures are those of this tenant, of all workers on this machine, since the service was started.
        """
        tenant: Tenant = request.scope["compressor"][0]
        sums = figures.sums(tenant.name)
        settings = tenant.config
        return {
            "mode": settings.mode,
            "rollout": settings.rollout,
            "needed": {"measured_calls": MIN_CALLS, "conversations": MIN_CONVERSATIONS},
            "groups": {group: describe_group(sums[group]) for group in GROUPS},
            "audit": describe_audit(sums["audit"]),
            "dollars_per_call": compare(sums["compressed"], sums["holdout"]),
        }

    return routes
