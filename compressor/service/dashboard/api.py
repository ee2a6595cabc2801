"""The routes of the dashboard: one page, and its data as JSON. A tenant sees only its own data, and changes nothing.

The page is a few static files. It requests its data from the routes below, with the rights of whoever opened it. The
texts of a session may come from any tool, so the page inserts them as text, and its content security policy allows no
script but its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from importlib.resources import files
from pathlib import PurePath
from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, Query, Request, Response

from compressor.context.formats import serialization
from compressor.errors import UnknownRefError
from compressor.service.api import ERROR_RESPONSES, REF_RESPONSES, JsonResponse
from compressor.service.dashboard.session_inspector import SessionInspector
from compressor.service.dashboard.session_list import (
    AUTO_PREFIX,
    SessionQuery,
    first_words,
    is_live,
    select_sessions,
)
from compressor.service.dashboard.usage_recorder import UsageRecorder
from compressor.service.http_errors import HttpError
from compressor.service.schemas import ReceiptsResponse
from compressor.service.session_ids import SessionId as Id
from compressor.service.settings import Settings
from compressor.service.tenants import Tenant
from compressor.sessions import Session
from compressor.sessions.cost_report import CostReport
from compressor.sessions.state import SessionState

T = TypeVar("T")
#: Seconds that each range covers, and seconds between two of its points.
RANGES = {"1h": (3600, 60), "24h": (24 * 3600, 600), "30d": (30 * 24 * 3600, 6 * 3600)}
#: Which rows of a session's messages are listed, by the action of the row.
SHOWN_ACTIONS: dict[str, Callable[[str], bool]] = {
    "all": lambda _: True,
    "changed": lambda action: action != "kept",
    "removed": lambda action: action in ("evicted", "dropped"),
}
_PAGE = files("compressor.service.dashboard") / "page"
_MEDIA_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
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
PRIVATE_HEADERS = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "cross-origin-resource-policy": "same-origin",
}


def router(config: Settings, recorder: UsageRecorder) -> APIRouter:
    """Returns the routes of the dashboard.

    Args:
        config: The settings of the service.
        recorder: Knows what was done over time.
    """
    routes = APIRouter()

    def page(body: bytes, media_type: str) -> Callable[[], Any]:
        async def answer() -> Response:
            return Response(body, media_type=f"{media_type}; charset=utf-8", headers=_HEADERS)

        return answer

    for file in _PAGE.iterdir():
        if media_type := _MEDIA_TYPES.get(PurePath(file.name).suffix):
            path = "/" if file.name == "index.html" else f"/{file.name}"
            routes.add_api_route(path, page(file.read_bytes(), media_type), methods=["GET"], include_in_schema=False)

    @routes.get("/v1/stats", responses=ERROR_RESPONSES, tags=["dashboard"])
    async def stats(
        request: Request,
        range: Annotated[Literal["1h", "24h", "30d"], Query(description="The time range.")] = "1h",
    ) -> JsonResponse:
        """Returns usage over time, of all workers: tokens, net dollars, cache hits, fallbacks, durations of calls."""
        tenant, (seconds, step) = _tenant(request), RANGES[range]
        series, is_reachable = await tenant.executor.run(recorder.series, tenant.name)
        now = time.time()
        made: dict[str, Any] = {"tenant": tenant.name, "admin": _is_admin(request), "now": now}
        made |= {"range": range, "step": step}
        made |= {"series": series.series(now, seconds, step), "total": series.total(now, seconds, step)}
        live = sum(is_live(usage, now) for usage in series.sessions.values())
        made |= {"store": _store_state(is_reachable), "sessions": {"known": len(series.sessions), "live": live}}
        made["calls"] = recorder.calls(tenant.name)
        return JsonResponse(made, headers=PRIVATE_HEADERS)

    @routes.get("/v1/sessions", responses=ERROR_RESPONSES, tags=["sessions"])
    async def sessions(request: Request, query: Annotated[SessionQuery, Query()]) -> JsonResponse:
        """Returns the sessions and recognised conversations that match, one page of them; those used last are first.

        `total` is the number of those that match, `known` that of all. `task` has the first words of a session's first
        user message, if the worker that answers has the session in memory.
        """
        tenant = _tenant(request)
        now = time.time()

        def run() -> dict[str, Any]:
            series, is_reachable = recorder.series(tenant.name)
            tasks = {id: first_words(messages) for id, messages in tenant.conversations.live_messages().items()}
            page = select_sessions(series.sessions, tasks, query, now)
            listed = [
                {
                    "id": id,
                    **usage,
                    "live": is_live(usage, now),
                    # A conversation without a name is known only to the worker that serves it.
                    "opens": (config.workers or 1) > 1 or not id.startswith(AUTO_PREFIX) or id in tasks,
                    **({"task": tasks[id]} if tasks.get(id) else {}),
                }
                for id, usage in page.sessions.items()
            ]
            made: dict[str, Any] = {"tenant": tenant.name, "admin": _is_admin(request), "now": now}
            made |= {"store": _store_state(is_reachable), "total": page.total, "known": page.known}
            made |= {"offset": query.offset, "limit": query.limit, "models": page.models}
            return made | {"sessions": listed}

        return JsonResponse(await tenant.executor.run(run), headers=PRIVATE_HEADERS)

    @routes.get("/v1/sessions/{id}/messages", responses=ERROR_RESPONSES | REF_RESPONSES, tags=["sessions"])
    async def messages(
        request: Request,
        id: Id,
        after: Annotated[int | None, Query(description="Return only messages with larger numbers.")] = None,
        limit: Annotated[int, Query(ge=1, le=2000)] = 500,
        shown: Annotated[
            Literal["all", "changed", "removed"], Query(description="Return only messages with such an outcome.")
        ] = "all",
    ) -> JsonResponse:
        """Returns what happened to each message of a session. System messages have negative numbers.

        `count` is the number of messages without system messages, and `matching` that of rows that `shown` selects.
        """

        def run() -> dict[str, Any]:
            tenant = _tenant(request)
            inspector, report, warnings = open_inspector(tenant, id, config)
            if shown == "all":
                rows = inspector.rows(after, limit + 1)
                matching = inspector.state.count - len(inspector.missing) + len(inspector.system_messages)
            else:
                every = [row for row in inspector.rows() if SHOWN_ACTIONS[shown](row["action"])]
                rows, matching = [row for row in every if after is None or row["number"] > after], len(every)
            more = {"saved_cost": report.saved_cost, "cached_fraction": report.cached_fraction}
            made: dict[str, Any] = {"id": id, "dialect": inspector.dialect, "warnings": warnings}
            made["cost_report"] = {**asdict(report), **more}
            made |= {"count": inspector.state.count, "matching": matching}
            made |= {"messages": rows[:limit], "more": len(rows) > limit}
            return made | {"evicted": inspector.evicted_rounds(), "missing": inspector.missing}

        return JsonResponse(await _tenant(request).executor.run(run), headers=PRIVATE_HEADERS)

    @routes.get(
        "/v1/sessions/{id}/receipts",
        responses=ERROR_RESPONSES | REF_RESPONSES | {200: {"model": ReceiptsResponse}},
        tags=["sessions"],
    )
    async def receipts(request: Request, id: Id) -> JsonResponse:
        """Returns what each compaction of a session kept and lost, oldest first."""

        def run() -> dict[str, Any]:
            return {"id": id, "receipts": _receipts(_tenant(request), id, config)}

        return JsonResponse(await _tenant(request).executor.run(run), headers=PRIVATE_HEADERS)

    @routes.get("/v1/sessions/{id}/messages/{number}", responses=ERROR_RESPONSES | REF_RESPONSES, tags=["sessions"])
    async def message(
        request: Request,
        id: Id,
        number: int,
        original: Annotated[bool, Query(description="Include the text that is not in the view.")] = False,
    ) -> JsonResponse:
        """Returns one message: its blocks, and the kept and dropped parts of each, in the order of the original."""

        def run() -> dict[str, Any]:
            inspector, _, _ = open_inspector(_tenant(request), id, config)
            try:
                return {"id": id, **inspector.message(number, original)}
            except UnknownRefError:
                raise HttpError(
                    404, "unknown_message", f"Message {number} does not exist, or is not stored any more"
                ) from None

        return JsonResponse(await _tenant(request).executor.run(run), headers=PRIVATE_HEADERS)

    return routes


def _tenant(request: Request) -> Tenant:
    tenant: Tenant = request.scope["compressor"][0]
    return tenant


def _is_admin(request: Request) -> bool:
    return bool(request.scope["compressor.admin"])


def _store_state(is_reachable: bool) -> str:
    return "ok" if is_reachable else "unreachable"


def open_inspector(tenant: Tenant, id: str, config: Settings) -> tuple[SessionInspector, CostReport, list[str]]:
    """Opens a session for inspection.

    Raises:
        HttpError: 404 if the conversation is unknown to this worker, or the session does not exist.
    """
    found, session = _find(tenant, id, config)
    if session is not None:
        data, report, warnings = session.export(originals=False), session.cost_report(), session.warnings
        head, live, state, model = data["front"], data["messages"], data["state"], data["model"]
    else:
        conversation, lock = found
        with lock:
            head, live = list(conversation.head), list(conversation.messages)
            state, model, report, warnings = (
                conversation.state,
                conversation.model,
                conversation.cost_report(),
                list(conversation.warnings),
            )
        head, live = (
            [serialization.serialize_message(m) for m in head],
            [serialization.serialize_message(m) for m in live],
        )
    policy = config.session_policy()
    inspector = SessionInspector(tenant.compressor.store, model, head, live, SessionState.from_json(state), policy)
    return inspector, report, warnings


def _find(tenant: Tenant, id: str, config: Settings) -> tuple[Any, Session | None]:
    """Returns a conversation of this worker with its lock, or a session.

    Raises:
        HttpError: 404 if the conversation is unknown to this worker, or the session does not exist.
    """
    found = tenant.conversations.find(id)
    if found is None and id.startswith(AUTO_PREFIX):
        message = f"This worker does not know the conversation {id!r}; another one may"
        if (config.workers or 1) > 1:  # a new connection may reach another worker
            raise HttpError(404, "other_worker", message, {"connection": "close"})
        raise HttpError(404, "unknown_session", message)
    is_session = found is None or isinstance(found[0], Session)
    return found, tenant.sessions.get(id, {}) if is_session else None


def _receipts(tenant: Tenant, id: str, config: Settings) -> list[dict[str, Any]]:
    found, session = _find(tenant, id, config)
    if session is not None:
        return session.receipts()
    conversation, lock = found
    with lock:
        receipts: list[dict[str, Any]] = conversation.receipts()
        return receipts
