"""The routes of the HTTP API: parse a request, call the compressor in a thread, write the response.

`/v1/compress` and `/v1/retrieve` also return the fields that the compression hooks of LiteLLM and Portkey read:
`tokens_saved`, `compression_ratio` (the fraction that is left) and `original_content`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from dataclasses import fields
from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.routing import APIRoute

from compressor.providers.conversation_tracker import TrackedConversation
from compressor.scoring.runtime.executor import run_in_thread
from compressor.service import compress_requests as requests
from compressor.service import schemas
from compressor.service.direct_routes import MIN_THREAD_BYTES
from compressor.service.group_figures import GroupFigures
from compressor.service.history_requests import HistoryRequests
from compressor.service.http_errors import HttpError, json_bytes
from compressor.service.model_names import sanitize_model_name
from compressor.service.request_limits import parse
from compressor.service.session_ids import SessionId as Id
from compressor.service.session_registry import OpenSession
from compressor.service.session_tools import find_tool as answer_find_tool
from compressor.service.session_tools import list_session_tools
from compressor.service.settings import Settings
from compressor.service.telemetry.metrics import Metrics
from compressor.service.telemetry.records import CompressionEvent
from compressor.service.telemetry.session_usage import describe_usage, usage_notes
from compressor.service.telemetry.tracing import span
from compressor.service.tenant_executor import MAX_THREADS_PER_TENANT, TenantExecutor
from compressor.service.tenants import Tenant, Tenants
from compressor.sessions import Session
from compressor.sessions.cost_report import CostReport

T = TypeVar("T")
_REPORT_FIELDS = tuple(one.name for one in fields(CostReport))
ERROR_RESPONSES: dict[int | str, dict[str, Any]] = {
    code: {"model": schemas.ErrorResponse, "description": text}
    for code, text in {
        400: "The context, the budget or the model is not valid.",
        401: "The API key is missing or unknown.",
        413: "The request body is too large.",
        422: "The budget is too small, or a field is not valid.",
        429: "Too many requests; see retry-after.",
        503: "Not possible at the moment; see retry-after.",
        504: "The request took too long.",
    }.items()
}
REF_RESPONSES: dict[int | str, dict[str, Any]] = {
    404: {"model": schemas.ErrorResponse, "description": "It does not exist."},
    410: {"model": schemas.ErrorResponse, "description": "It has expired."},
}
CONFLICT_RESPONSES: dict[int | str, dict[str, Any]] = {
    409: {"model": schemas.ErrorResponse, "description": "The session has other messages."}
}


class JsonResponse(Response):
    """A JSON response. Values that are bytes are JSON already, and come first."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Returns the body."""
        encoded = {name: value for name, value in content.items() if isinstance(value, bytes)}
        rest = json_bytes({name: value for name, value in content.items() if name not in encoded})
        return b"{" + b"".join(b'"%s":%s,' % (name.encode(), value) for name, value in encoded.items()) + rest[1:]


class _Request(Request):
    """A request whose JSON is parsed within the limits."""

    async def json(self) -> Any:
        if not hasattr(self, "_json"):
            body, depth = await self.body(), self.app.state.config.max_json_depth
            self._json = await run_in_thread(parse, body, depth) if len(body) > MIN_THREAD_BYTES else parse(body, depth)
        return self._json


class JsonRoute(APIRoute):
    """A route that parses the JSON of a body within the limits."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Returns the function that serves a request."""
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            limited = _Request(request.scope, request.receive)
            if await limited.body():
                await limited.json()  # here, because FastAPI would turn an exception into another error
            return await handler(limited)

        return handle


def router(config: Settings, tenants: Tenants, metrics: Metrics, figures: GroupFigures) -> APIRouter:
    """Returns the routes of the API.

    Args:
        config: The settings of the service.
        tenants: All tenants.
        metrics: Counts compressions, and is shown at `/metrics`.
        figures: Takes what audits find.
    """
    routes, histories = APIRouter(route_class=JsonRoute), HistoryRequests(metrics, figures)

    # For requests about the service itself, so that a busy tenant does not delay them.
    own = TenantExecutor(MAX_THREADS_PER_TENANT, config.timeout)

    async def work(executor: TenantExecutor, function: Callable[..., T], *args: Any, size: int = 0) -> T:
        with span("work", {"code.function.name": function.__name__.strip("_<>")}):
            return await executor.run(function, *args, size=size)

    async def respond(
        request: Request,
        kind: Literal["documents", "examples", "tools"],
        function: Callable[..., dict[str, Any]],
        body: Any,
    ) -> JsonResponse:
        tenant, start = _tenant(request), time.perf_counter()
        out = await work(tenant.executor, function, tenant, body, size=_size(request))
        metrics.record(_event(tenant, kind, out, start))
        return JsonResponse(out)

    @routes.post("/v1/compress", responses=ERROR_RESPONSES, tags=["compress"])
    async def compress(request: Request, body: schemas.CompressRequest) -> JsonResponse:
        """Compresses a context."""
        tenant = _tenant(request)
        start = time.perf_counter()
        if body.budget is not None:
            made = await work(tenant.executor, requests.compress, tenant, body, size=_size(request))
        else:
            with span("work", {"code.function.name": "follow"}):
                made = await histories.compress(tenant, body, request.scope["headers"], _size(request))
        if made.get("group", "compressed") == "compressed":
            metrics.record(_event(tenant, "call" if body.budget is not None else "conversation", made, start))
        return JsonResponse(made)

    @routes.post("/v1/compress/documents", responses=ERROR_RESPONSES, tags=["compress"])
    async def documents(request: Request, body: schemas.DocumentsRequest) -> JsonResponse:
        """Compresses documents, to one text and to one shorter text each."""
        return await respond(request, "documents", requests.documents, body)

    @routes.post("/v1/examples", responses=ERROR_RESPONSES, tags=["compress"])
    async def examples(request: Request, body: schemas.ExamplesRequest) -> JsonResponse:
        """Selects in-context examples."""
        return await respond(request, "examples", requests.examples, body)

    @routes.post("/v1/tools", responses=ERROR_RESPONSES, tags=["compress"])
    async def tools(request: Request, body: schemas.ToolsRequest) -> JsonResponse:
        """Selects the tools that a call needs, within a budget of their own."""
        return await respond(request, "tools", requests.tools, body)

    @routes.get("/v1/retrieve/{ref}", responses=ERROR_RESPONSES | REF_RESPONSES, tags=["compress"])
    async def retrieve(
        request: Request,
        ref: Annotated[str, Path(max_length=200, examples=["123456789012"])],
        query: Annotated[
            str | None, Query(max_length=10_000, description="Return only the part that is relevant.")
        ] = None,
        budget: Annotated[int | None, Query(ge=1, description="The maximum number of tokens to return.")] = None,
    ) -> JsonResponse:
        """Returns the exact original of a ref."""
        text = await work(_tenant(request).executor, requests.retrieve, _tenant(request), ref, query, budget)
        return JsonResponse({"ref": ref, "hash": ref, "original_content": text})

    @routes.post("/v1/sessions/{id}/append", responses=ERROR_RESPONSES | CONFLICT_RESPONSES, tags=["sessions"])
    async def append(request: Request, id: Id, body: schemas.AppendRequest) -> JsonResponse:
        """Appends messages to a session; the first ones create it."""

        def run() -> dict[str, Any]:
            start, tenant = time.perf_counter(), _tenant(request)
            session = _session(tenant, id, body, begin=True)
            if body.messages:
                session.append(*body.messages, pin=body.pin, index=body.index)
            if body.usage:
                session.record_usage(body.usage)
            report = session.last_cost_report()
            made, usage = _report(session, report), describe_usage(session, report)
            seconds = time.perf_counter() - start
            metrics.record(CompressionEvent(tenant.name, "append", 0, 0, 0.0, seconds, session=id, **usage))
            return made

        return JsonResponse(await work(_tenant(request).executor, run, size=_size(request)))

    @routes.post("/v1/sessions/{id}/view", responses=ERROR_RESPONSES | REF_RESPONSES, tags=["sessions"])
    async def view(request: Request, id: Id, body: schemas.ViewRequest | None = None) -> JsonResponse:
        """Returns the messages to send now, and with a `tools_budget` the tools."""

        def run() -> dict[str, Any]:
            start, tenant, given = time.perf_counter(), _tenant(request), body or schemas.ViewRequest()
            known = _open_session(tenant, id, given)
            session = known.session
            listed = list_session_tools(known, given.tool_choice, given.best_effort)
            messages = session.view(best_effort=given.best_effort)
            report = session.last_cost_report()
            if usage_notes(session).has_calls:  # the same view again is not another call
                metrics.record(_session_event(tenant, session, report, time.perf_counter() - start))
            more = {} if listed is None else {"tools": listed[0]}
            warnings = [*session.warnings, *(listed[1] if listed else ())]
            return {"messages": messages, **more, "warnings": warnings, **_report(session, report)}

        return JsonResponse(await work(_tenant(request).executor, run))

    @routes.post("/v1/sessions/{id}/recall", responses=ERROR_RESPONSES | REF_RESPONSES, tags=["sessions"])
    async def recall(request: Request, id: Id, body: schemas.RecallRequest) -> JsonResponse:
        """Searches the text that was removed from a session's view."""

        def run() -> dict[str, Any]:
            session = _session(_tenant(request), id, schemas.ViewRequest())
            return {"id": id, "text": session.recall(body.query, body.budget)}

        return JsonResponse(await work(_tenant(request).executor, run))

    @routes.post("/v1/sessions/{id}/find_tool", responses=ERROR_RESPONSES | REF_RESPONSES, tags=["sessions"])
    async def find_tool(request: Request, id: Id, body: schemas.FindToolRequest) -> JsonResponse:
        """Answers a call of `find_tool`, which views with a `tools_budget` list."""

        def run() -> dict[str, Any]:
            known = _open_session(_tenant(request), id, schemas.ViewRequest())
            return {"id": id, "text": answer_find_tool(known, body.query)}

        return JsonResponse(await work(_tenant(request).executor, run))

    @routes.post("/v1/sessions/{id}/expand", responses=ERROR_RESPONSES | REF_RESPONSES, tags=["sessions"])
    async def expand(request: Request, id: Id, body: schemas.ExpandRequest) -> JsonResponse:
        """Returns the original of a ref of a session."""

        def run() -> dict[str, Any]:
            session = _session(_tenant(request), id, schemas.ViewRequest())
            text = session.expand(body.ref, body.query, body.budget)
            return {"id": id, "ref": body.ref, "original_content": text}

        return JsonResponse(await work(_tenant(request).executor, run))

    @routes.head("/healthz", include_in_schema=False)  # some load balancers send HEAD
    @routes.get("/healthz", tags=["service"])
    async def healthz() -> JsonResponse:
        """Tells whether the service runs."""
        return JsonResponse({"status": "ok"})

    @routes.head("/readyz", include_in_schema=False)
    @routes.get("/readyz", responses={503: ERROR_RESPONSES[503]}, tags=["service"])
    async def readyz(request: Request) -> JsonResponse:
        """Tells whether the service can serve requests: whether its store answers.

        "degraded" means that Redis does not answer: sessions return 503 until it does, everything else is served. 503
        while the service is shutting down.
        """
        if request.app.state.draining:
            raise HttpError(503, "draining", "The service is shutting down: use another instance")
        return JsonResponse({"status": "ready" if await work(own, tenants.ready) else "degraded"})

    @routes.get("/metrics", tags=["service"], response_class=Response)
    async def exposition(request: Request) -> Response:
        """Returns Prometheus metrics: the tenant's own, or all of them for a key with `admin`."""
        name = None if request.scope["compressor.admin"] else _tenant(request).name
        return Response(await work(own, metrics.text, name), media_type="text/plain; version=0.0.4; charset=utf-8")

    return routes


def _tenant(request: Request) -> Tenant:
    tenant: Tenant = request.scope["compressor"][0]
    return tenant


def _size(request: Request) -> int:
    return len(request.scope["compressor"][1])


def _event(
    tenant: Tenant,
    kind: Literal["call", "documents", "examples", "tools", "conversation"],
    result: dict[str, Any],
    start: float,
) -> CompressionEvent:
    sizes = result["tokens_before"], result["tokens_after"]
    more: dict[str, Any] = {"session": result.get("session", ""), "refs": tuple(result["refs"])}
    more |= {"cache": result.get("cached", ""), "tier": tenant.compressor.scorer.name}
    more |= result.pop("_usage", {})
    saved, seconds = result.pop("_saved", 0.0), time.perf_counter() - start
    return CompressionEvent(tenant.name, kind, *sizes, saved, seconds, warnings=tuple(result["warnings"]), **more)


def _session_event(tenant: Tenant, session: Session, report: CostReport, seconds: float) -> CompressionEvent:
    id, report, saved = tenant.conversations.conversation_cost(TrackedConversation(session, ""), report)
    more: dict[str, Any] = {**describe_usage(session, report), "session": id}
    more |= {"tier": tenant.compressor.scorer.name, "warnings": tuple(session.warnings)}
    return CompressionEvent(tenant.name, "session", report.baseline_last, report.actual_last, saved, seconds, **more)


def _session(tenant: Tenant, id: str, options: schemas.SessionOptions, begin: bool = False) -> Session:
    return _open_session(tenant, id, options, begin).session


def _open_session(tenant: Tenant, id: str, options: schemas.SessionOptions, begin: bool = False) -> OpenSession:
    model = sanitize_model_name(options.model, tenant.config.models)
    budget = tenant.config.budget if options.budget is None and begin else options.budget
    given = {"model": model, "budget": budget, "tools": options.tools, "system": options.system}
    given |= options.policy_options()
    return tenant.sessions.open(id, given, begin)


def _report(session: Session, report: CostReport) -> dict[str, Any]:
    own = {name: getattr(report, name) for name in _REPORT_FIELDS}
    more = {"saved_cost": report.saved_cost, "cached_fraction": report.cached_fraction}
    return {"id": session.id, "count": session.count, "cost_report": {**own, **more}}
