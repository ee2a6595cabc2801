"""The routes of what costs most: usage by tool, model, reason of a fallback and tenant, and a live view of calls."""

from __future__ import annotations

import time
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request

from compressor.errors import CompressorError
from compressor.service.api import ERROR_RESPONSES, JsonResponse
from compressor.service.dashboard.api import RANGES
from compressor.service.dashboard.time_series import TimeSeries
from compressor.service.dashboard.usage_recorder import UsageRecorder
from compressor.service.tenants import Tenant, Tenants

MAX_TENANTS = 500  # those with the most tokens are listed
_PRIVATE = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "cross-origin-resource-policy": "same-origin",
}


def router(recorder: UsageRecorder, tenants: Tenants) -> APIRouter:
    """Returns the routes.

    Args:
        recorder: Knows what was done over time.
        tenants: All tenants; an administrator sees what each has used.
    """
    routes = APIRouter()

    @routes.get("/v1/stats/breakdown", responses=ERROR_RESPONSES, tags=["dashboard"])
    async def breakdown(
        request: Request,
        range: Annotated[Literal["1h", "24h", "30d"], Query(description="The time range.")] = "24h",
    ) -> JsonResponse:
        """Returns usage by tool, by model and by reason of a fallback, the largest first; with an admin key by tenant.

        A tool's `tokens_before` and `tokens_after` are those of its new results, each counted once. Its `saved_usd` is
        its share of what all calls saved. All figures are those of all workers.
        """
        tenant: Tenant = request.scope["compressor"][0]
        seconds, step = RANGES[range]

        def run() -> dict[str, Any]:
            tables = recorder.breakdown(tenant.name, seconds)
            for row in tables["tools"]:
                row["saved_tokens"] = row["tokens_before"] - row["tokens_after"]
            for row in tables["reasons"]:
                row["reason"] = row.pop("name")
            made = {"range": range, "now": time.time(), **tables}
            if request.scope.get("compressor.admin"):
                made["tenants"] = _by_tenant(recorder, tenants, seconds, step)
            return made

        return JsonResponse(await tenant.executor.run(run), headers=_PRIVATE)

    @routes.get("/v1/stats/calls", responses=ERROR_RESPONSES, tags=["dashboard"])
    async def calls(
        request: Request,
        after: Annotated[int, Query(ge=0, description="Return calls with larger ids.")] = 0,
        limit: Annotated[int, Query(ge=1, le=200)] = 100,
    ) -> JsonResponse:
        """Returns the last calls, oldest first, and the id of the last one, to ask with next time.

        `workers` says whose calls they are: "all", or "this" where the store cannot be reached. Another worker's calls
        appear within a second while the view is open, and within ten seconds after it was opened.
        """
        tenant: Tenant = request.scope["compressor"][0]
        made = await tenant.executor.run(recorder.recent_calls, tenant.name, after, limit)
        return JsonResponse(made, headers=_PRIVATE)

    return routes


def _by_tenant(recorder: UsageRecorder, tenants: Tenants, seconds: int, step: int) -> list[dict[str, Any]]:
    rows = []
    for name in tenants.list_names():
        try:
            tenants.get(name)  # opens its part of the store
            series, _ = recorder.series(name)
        except CompressorError:
            continue
        if row := _tenant_row(name, series, seconds, step):
            rows.append(row)
    return sorted(rows, key=lambda row: (-row["tokens_before"], row["name"]))[:MAX_TENANTS]


def _tenant_row(name: str, series: TimeSeries, seconds: int, step: int) -> dict[str, Any] | None:
    total = series.total(time.time(), seconds, step)
    if not total["calls"] and not total["fallbacks"]:
        return None
    row = {"name": name, "calls": total["calls"], "tokens_before": total["before"], "tokens_after": total["after"]}
    return {**row, "saved_usd": total["saved"], "fallbacks": total["fallbacks"], "expansions": total["expansions"]}
