"""The dashboard: one page, and what it shows as JSON. Tells a tenant of itself only; changes nothing.

The page is a few files without data. Everything it shows it asks for at the routes below, with the rights of who opened
it. All texts of a session are what a tool may have said, so the page puts them in as text, and its policy allows no
script but its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from importlib.resources import files
from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, Path, Query, Request, Response

from compressor.context.formats import serialization
from compressor.errors import UnknownRefError
from compressor.service.api import ERROR_RESPONSES, REF_RESPONSES, JsonResponse
from compressor.service.dashboard.session_inspector import SessionInspector
from compressor.service.dashboard.usage_recorder import UsageRecorder
from compressor.service.http_errors import HttpError
from compressor.service.session_registry import MAX_ID_LENGTH
from compressor.service.settings import Settings
from compressor.service.tenants import Tenant
from compressor.sessions import Session
from compressor.sessions.cost_report import CostReport
from compressor.sessions.state import SessionState

T = TypeVar("T")
#: Seconds that each range covers, and those of one of its points.
RANGES = {"1h": (3600, 60), "24h": (24 * 3600, 600), "30d": (30 * 24 * 3600, 6 * 3600)}
LIVE = 15 * 60  # seconds without a call after which a session is taken to rest
AUTO = "auto-"  # in front of the ids of conversations that have none
_SCRIPTS = ("app.js", "chart.js", "dom.js", "overview.js", "session.js")
_FILES = {"": "text/html", "app.css": "text/css", **dict.fromkeys(_SCRIPTS, "text/javascript")}
_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-cache",
}
_PRIVATE = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "cross-origin-resource-policy": "same-origin",
}
Id = Annotated[str, Path(max_length=MAX_ID_LENGTH, examples=["import-42"], description="A session's id.")]


def router(config: Settings, ledger: UsageRecorder) -> APIRouter:
    """All routes."""
    routes = APIRouter()

    def page(name: str) -> Callable[[], Any]:
        body = (files("compressor.service.dashboard") / "page" / (name or "index.html")).read_bytes()

        async def answer() -> Response:
            return Response(body, media_type=f"{_FILES[name]}; charset=utf-8", headers=_HEADERS)

        return answer

    for name in _FILES:
        routes.add_api_route(f"/{name}", page(name), methods=["GET"], include_in_schema=False)

    @routes.get("/v1/stats", responses=ERROR_RESPONSES, tags=["dashboard"])
    async def stats(
        request: Request,
        range: Annotated[Literal["1h", "24h", "30d"], Query(description="How far back.")] = "1h",
    ) -> JsonResponse:
        """What was done over time, by all workers: tokens, net dollars, cache, fallbacks, seconds that calls took."""
        tenant, (seconds, step) = _tenant(request), RANGES[range]
        book, well = await tenant.executor.run(ledger.series, tenant.name)
        now = time.time()
        made: dict[str, Any] = {"tenant": tenant.name, "now": now, "range": range, "step": step}
        made |= {"series": book.series(now, seconds, step), "total": book.total(now, seconds, step)}
        live = sum(now - account["last"] <= LIVE for account in book.sessions.values())
        made |= {"store": _state(well), "sessions": {"known": len(book.sessions), "live": live}}
        made["calls"] = ledger.calls(tenant.name)
        return JsonResponse(made, headers=_PRIVATE)

    @routes.get("/v1/sessions", responses=ERROR_RESPONSES, tags=["sessions"])
    async def sessions(request: Request) -> JsonResponse:
        """The sessions and recognised conversations used last, newest first."""
        tenant = _tenant(request)
        book, well = await tenant.executor.run(ledger.series, tenant.name)
        now = time.time()
        newest = sorted(book.sessions.items(), key=lambda item: item[1]["last"], reverse=True)
        listed = [_line(tenant, id, account, now, config) for id, account in newest]
        return JsonResponse({"now": now, "store": _state(well), "sessions": listed}, headers=_PRIVATE)

    @routes.get("/v1/sessions/{id}/messages", responses=ERROR_RESPONSES | REF_RESPONSES, tags=["sessions"])
    async def messages(
        request: Request,
        id: Id,
        after: Annotated[int | None, Query(description="Only messages of larger numbers.")] = None,
        limit: Annotated[int, Query(ge=1, le=2000)] = 500,
    ) -> JsonResponse:
        """What became of every message of a session: a line for each. System messages have the numbers before 0."""

        def run() -> dict[str, Any]:
            tenant = _tenant(request)
            anatomy, balance, warnings = _open(tenant, id, config)
            rows = anatomy.rows(after, limit + 1)
            more = {"saved_cost": balance.saved_cost, "cached_fraction": balance.cached_fraction}
            made: dict[str, Any] = {"id": id, "dialect": anatomy.dialect, "warnings": warnings}
            made["cost_report"] = {**asdict(balance), **more}
            made |= {"count": anatomy.state.count, "messages": rows[:limit], "more": len(rows) > limit}
            return made | {"left": anatomy.evicted_rounds(), "missing": anatomy.missing}

        return JsonResponse(await _tenant(request).executor.run(run), headers=_PRIVATE)

    @routes.get("/v1/sessions/{id}/messages/{number}", responses=ERROR_RESPONSES | REF_RESPONSES, tags=["sessions"])
    async def message(
        request: Request,
        id: Id,
        number: int,
        original: Annotated[bool, Query(description="With the text of what is not in the view, too.")] = False,
    ) -> JsonResponse:
        """One message: its blocks, and of each what is kept and what was dropped, from the original's start to its
        end."""

        def run() -> dict[str, Any]:
            anatomy, _, _ = _open(_tenant(request), id, config)
            try:
                return {"id": id, **anatomy.message(number, original)}
            except UnknownRefError:
                raise HttpError(404, "unknown_message", f"there is no message {number} any more, or not yet") from None

        return JsonResponse(await _tenant(request).executor.run(run), headers=_PRIVATE)

    return routes


def _tenant(request: Request) -> Tenant:
    tenant: Tenant = request.scope["compressor"][0]
    return tenant


def _state(well: bool) -> str:
    return "ok" if well else "unreachable"


def _line(tenant: Tenant, id: str, account: dict[str, Any], now: float, config: Settings) -> dict[str, Any]:
    """A session in the list. One that was recognised by its messages is known to the worker that serves it only."""
    known = config.workers > 1 or not id.startswith(AUTO) or tenant.conversations.find(id) is not None
    return {"id": id, **account, "live": now - account["last"] <= LIVE, "opens": known}


def _open(tenant: Tenant, id: str, config: Settings) -> tuple[SessionInspector, CostReport, list[str]]:
    """A session taken apart. UnknownRefError or Refused (404) if there is none, or it is another worker's."""
    found = tenant.conversations.find(id)
    if found is None and id.startswith(AUTO):
        why = f"no conversation {id!r} here; another worker may know it"
        if config.workers > 1:  # whose turn it is with the next connection
            raise HttpError(404, "other_worker", why, {"connection": "close"})
        raise HttpError(404, "unknown_session", why)
    if found is None or isinstance(found[0], Session):
        session = tenant.sessions.get(id, {})
        data, balance, warnings = session.export(originals=False), session.cost_report(), session.warnings
        front, live, state, model = data["front"], data["messages"], data["state"], data["model"]
    else:
        talk, lock = found
        with lock:
            front, live = list(talk.head), list(talk.live)
            state, model, balance, warnings = talk.state, talk.model, talk.cost_report(), list(talk.warnings)
        front, live = (
            [serialization.serialize_message(m) for m in front],
            [serialization.serialize_message(m) for m in live],
        )
    policy = config.session_policy()
    anatomy = SessionInspector(tenant.compressor.store, model, front, live, SessionState.from_json(state), policy)
    return anatomy, balance, warnings
