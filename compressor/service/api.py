"""The HTTP API. Reads requests, asks the compressor in a worker thread, writes answers; computes nothing itself.

`/v1/compress` and `/v1/retrieve` also have the fields that the compression hooks of LiteLLM and Portkey read:
`tokens_saved`, `compression_ratio` (what is left, of 1) and `original_content`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.routing import APIRoute

from compressor.context.refs import find_refs
from compressor.context.results import DocumentsResult, Result
from compressor.errors import BudgetTooSmallError, UnknownRefError
from compressor.pipeline.examples.results import ExamplesResult
from compressor.providers.conversation_tracker import TrackedConversation
from compressor.scoring.runtime.executor import run_in_thread
from compressor.service import gateway_compat, schemas
from compressor.service.conversations import get_counters
from compressor.service.http_errors import HttpError, json_bytes
from compressor.service.model_names import sanitize_model_name
from compressor.service.request_limits import parse
from compressor.service.settings import Settings
from compressor.service.telemetry.metrics import Metrics
from compressor.service.telemetry.records import CompressionEvent
from compressor.service.telemetry.tracing import span
from compressor.service.tenant_executor import MAX_THREADS_PER_TENANT, TenantExecutor
from compressor.service.tenants import Tenant, Tenants
from compressor.sessions import Session
from compressor.sessions.expand_tool import MOST

T = TypeVar("T")
_ASIDE = 100_000  # bytes of a body that is read in a thread of its own
_WRONG: dict[int | str, dict[str, Any]] = {
    code: {"model": schemas.ErrorResponse, "description": text}
    for code, text in {
        400: "Not a context, budget or model.",
        401: "No key, or an unknown one.",
        413: "The body is too large.",
        422: "The budget is too small, or a field is not what it has to be.",
        429: "Too many requests; see retry-after.",
        503: "Not possible now; see retry-after.",
        504: "It took too long.",
    }.items()
}
_GONE: dict[int | str, dict[str, Any]] = {
    404: {"model": schemas.ErrorResponse, "description": "Not known here."},
    410: {"model": schemas.ErrorResponse, "description": "Its time is over."},
}
_OTHERS: dict[int | str, dict[str, Any]] = {
    409: {"model": schemas.ErrorResponse, "description": "It has other messages."}
}
Id = Annotated[str, Path(max_length=200, examples=["import-42"])]


class JsonResponse(Response):
    """JSON. Values that are bytes are JSON already; they come first."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        done = {name: value for name, value in content.items() if isinstance(value, bytes)}
        rest = json_bytes({name: value for name, value in content.items() if name not in done})
        return b"{" + b"".join(b'"%s":%s,' % (name.encode(), value) for name, value in done.items()) + rest[1:]


class _Request(Request):
    """Reads JSON within the limits."""

    async def json(self) -> Any:
        if not hasattr(self, "_json"):
            body, depth = await self.body(), self.app.state.config.max_json_depth
            self._json = await run_in_thread(parse, body, depth) if len(body) > _ASIDE else parse(body, depth)
        return self._json


class _Route(APIRoute):
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            limited = _Request(request.scope, request.receive)
            if await limited.body():
                await limited.json()  # here, where what is raised is not made another error of
            return await handler(limited)

        return handle


def router(config: Settings, tenants: Tenants, metrics: Metrics) -> APIRouter:
    """All routes."""
    routes = APIRouter(route_class=_Route)

    own = TenantExecutor(
        MAX_THREADS_PER_TENANT, config.timeout
    )  # for what is asked of the service itself, however busy a tenant's are

    async def work(hands: TenantExecutor, function: Callable[..., T], *args: Any) -> T:
        with span("work", {"code.function.name": function.__name__.strip("_<>")}):
            return await hands.run(function, *args)

    async def answered(
        request: Request, kind: Literal["documents", "examples"], function: Callable[..., dict[str, Any]], asked: Any
    ) -> JsonResponse:
        tenant, start = _tenant(request), time.perf_counter()
        out = await work(tenant.executor, function, tenant, asked, config)
        metrics.record(_run(tenant, kind, out, start))
        return JsonResponse(out)

    @routes.post("/v1/compress", responses=_WRONG, tags=["compress"])
    async def compress(request: Request, asked: schemas.CompressRequest) -> JsonResponse:
        """Compresses a context."""
        tenant = _tenant(request)
        start = time.perf_counter()
        if asked.budget is not None:
            made = await work(tenant.executor, _compress, tenant, asked, config)
        else:
            try:
                made = await work(tenant.executor, _follow, tenant, asked, config)
            except Exception as error:  # a gateway asks, and an agent waits for it: some answer 502 to our 4xx
                if not all(isinstance(message, dict) for message in asked.messages):
                    raise  # no gateway's
                kind = gateway_compat.fallback_kind(error)
                metrics.record_fallback(tenant.name, kind)
                made = {"messages": asked.messages, **_sizes(0, 0), "warnings": [f"not compressed: {kind}"]}
                made |= {"refs": [], "mode": "conversation"}
        metrics.record(_run(tenant, "call" if asked.budget is not None else "conversation", made, start))
        return JsonResponse(made)

    @routes.post("/v1/compress/documents", responses=_WRONG, tags=["compress"])
    async def documents(request: Request, asked: schemas.DocumentsRequest) -> JsonResponse:
        """Compresses documents to one text and to what is left of each."""
        return await answered(request, "documents", _documents, asked)

    @routes.post("/v1/examples", responses=_WRONG, tags=["compress"])
    async def examples(request: Request, asked: schemas.ExamplesRequest) -> JsonResponse:
        """Chooses in-context examples."""
        return await answered(request, "examples", _examples, asked)

    @routes.get("/v1/retrieve/{ref}", responses=_WRONG | _GONE, tags=["compress"])
    async def retrieve(
        request: Request,
        ref: Annotated[str, Path(max_length=200, examples=["123456789012"])],
        query: Annotated[str | None, Query(max_length=10_000, description="Gives only the part that matters.")] = None,
        budget: Annotated[int | None, Query(ge=1, description="The most tokens to give back.")] = None,
    ) -> JsonResponse:
        """The exact original behind a ref."""
        text = await work(_tenant(request).executor, _retrieve, _tenant(request), ref, query, budget)
        return JsonResponse({"ref": ref, "hash": ref, "original_content": text})

    @routes.post("/v1/sessions/{id}/append", responses=_WRONG | _OTHERS, tags=["sessions"])
    async def append(request: Request, id: Id, asked: schemas.AppendRequest) -> JsonResponse:
        """Adds messages to a session, which begins with its first."""

        def run() -> dict[str, Any]:
            session = _session(_tenant(request), id, asked, config, begin=True)
            if asked.messages:
                session.append(*asked.messages, pin=asked.pin, index=asked.index)
            if asked.usage:
                session.record_usage(asked.usage)
            return _balance(session)

        return JsonResponse(await work(_tenant(request).executor, run))

    @routes.post("/v1/sessions/{id}/view", responses=_WRONG | _GONE, tags=["sessions"])
    async def view(request: Request, id: Id, asked: schemas.ViewRequest | None = None) -> JsonResponse:
        """What to send of a session now."""

        def run() -> dict[str, Any]:
            tenant = _tenant(request)
            session = _session(tenant, id, asked or schemas.ViewRequest(), config)
            start, known = time.perf_counter(), get_counters(session).calls
            messages = session.view()
            if get_counters(session).calls > known:  # the same view again is no other call
                metrics.record(_session_work(tenant, session, time.perf_counter() - start))
            return {"messages": messages, "warnings": session.warnings, **_balance(session)}

        return JsonResponse(await work(_tenant(request).executor, run))

    @routes.post("/v1/sessions/{id}/recall", responses=_WRONG | _GONE, tags=["sessions"])
    async def recall(request: Request, id: Id, asked: schemas.RecallRequest) -> JsonResponse:
        """What has left a session's view and answers a question."""

        def run() -> dict[str, Any]:
            session = _session(_tenant(request), id, schemas.ViewRequest(), config)
            return {"id": id, "text": session.recall(asked.query, asked.budget)}

        return JsonResponse(await work(_tenant(request).executor, run))

    @routes.post("/v1/sessions/{id}/expand", responses=_WRONG | _GONE, tags=["sessions"])
    async def expand(request: Request, id: Id, asked: schemas.ExpandRequest) -> JsonResponse:
        """The original behind a ref of a session."""

        def run() -> dict[str, Any]:
            session = _session(_tenant(request), id, schemas.ViewRequest(), config)
            text = session.expand(asked.ref, asked.query, asked.budget)
            return {"id": id, "ref": asked.ref, "original_content": text}

        return JsonResponse(await work(_tenant(request).executor, run))

    @routes.head("/healthz", include_in_schema=False)  # as some balancers ask
    @routes.get("/healthz", tags=["service"])
    async def healthz() -> JsonResponse:
        """Whether the service runs."""
        return JsonResponse({"status": "ok"})

    @routes.head("/readyz", include_in_schema=False)
    @routes.get("/readyz", responses={503: _WRONG[503]}, tags=["service"])
    async def readyz(request: Request) -> JsonResponse:
        """Whether it can serve: its store answers. "degraded": its Redis does not; sessions are 503 until it does, all
        else is served without it. 503 also while the service ends."""
        if request.app.state.draining:
            raise HttpError(503, "draining", "this service is about to end: ask another")
        return JsonResponse({"status": "ready" if await work(own, tenants.ready) else "degraded"})

    @routes.get("/metrics", tags=["service"], response_class=Response)
    async def exposition(request: Request) -> Response:
        """Prometheus metrics: the tenant's own; all of them for a key with `admin`."""
        of = None if request.scope["compressor.admin"] else _tenant(request).name
        return Response(await work(own, metrics.text, of), media_type="text/plain; version=0.0.4; charset=utf-8")

    return routes


def _tenant(request: Request) -> Tenant:
    tenant: Tenant = request.scope["compressor"][0]
    return tenant


def _run(
    tenant: Tenant, kind: Literal["call", "documents", "examples", "conversation"], made: dict[str, Any], start: float
) -> CompressionEvent:
    sizes = made["tokens_before"], made["tokens_after"]
    more: dict[str, Any] = {"session": made.get("session", ""), "refs": tuple(made["refs"])}
    more |= {"cache": made.get("cached", ""), "tier": tenant.compressor.scorer.name}
    saved, took = made.pop("_saved", 0.0), time.perf_counter() - start
    return CompressionEvent(tenant.name, kind, *sizes, saved, took, warnings=tuple(made["warnings"]), **more)


def _session_work(tenant: Tenant, session: Session, seconds: float) -> CompressionEvent:
    thread = TrackedConversation(session, "")
    id, balance, saved = tenant.conversations.conversation_cost(thread)
    more: dict[str, Any] = {"billed": balance.billed_tokens, "billed_cached": balance.billed_cached, "session": id}
    more |= {"tier": tenant.compressor.scorer.name, "warnings": tuple(session.warnings)}
    return CompressionEvent(tenant.name, "session", balance.baseline_last, balance.actual_last, saved, seconds, **more)


def _compress(tenant: Tenant, asked: schemas.CompressRequest, config: Settings) -> dict[str, Any]:
    assert asked.budget is not None
    model = sanitize_model_name(asked.model, config.models)
    made = tenant.compressor.compress(
        asked.messages, asked.budget, model, asked.query, asked.tools, asked.mode, asked.system, asked.pinned
    )
    messages = json_bytes(made.messages)  # here, in a thread of its own, and once
    return {"messages": messages, **_account(made, messages), "mode": asked.mode}


def _follow(tenant: Tenant, asked: schemas.CompressRequest, config: Settings) -> dict[str, Any]:
    """A history in the form its conversation was last sent in, so that the provider's cache still fits."""
    if not asked.messages:
        return {"messages": [], **_sizes(0, 0), "warnings": [], "refs": [], "mode": "conversation"}
    thread, messages = tenant.conversations.view(asked.messages, asked.model, asked.system, asked.tools)
    id, balance, saved = tenant.conversations.conversation_cost(thread)
    messages, added = gateway_compat.add_placeholder_hashes(messages, thread.conversation.runtime.counter.count)
    more = {"warnings": thread.conversation.warnings, "refs": _refs(json_bytes(messages)), "mode": "conversation"}
    sizes = _sizes(balance.baseline_last, balance.actual_last + added)
    return {"messages": messages, **sizes, **more, "session": id, "_saved": saved}


def _documents(tenant: Tenant, asked: schemas.DocumentsRequest, config: Settings) -> dict[str, Any]:
    model = sanitize_model_name(asked.model, config.models)
    made = tenant.compressor.compress_documents(asked.documents, asked.query, asked.budget, model)
    text = json_bytes(made.text)
    return {"text": text, "documents": json_bytes(made.documents), **_account(made, text)}


def _examples(tenant: Tenant, asked: schemas.ExamplesRequest, config: Settings) -> dict[str, Any]:
    model, wish = sanitize_model_name(asked.model, config.models), asked
    made = tenant.compressor.select_examples(
        wish.examples, wish.query, wish.budget, model, wish.template, wish.method, wish.prune, wish.order
    )
    chosen = {
        "examples": json_bytes(made.examples),
        "text": json_bytes(made.text),
        "messages": json_bytes(made.messages),
    }
    refs = list(dict.fromkeys(gone.ref for gone in made.dropped))
    return {**chosen, **_account(made, b""), "indices": made.indices, "shortened": made.shortened, "refs": refs}


def _retrieve(tenant: Tenant, ref: str, query: str | None, budget: int | None) -> str:
    found = gateway_compat.extract_ref(ref)
    if found is None:  # the store has other keys, which are nobody's refs
        raise UnknownRefError(ref)
    text = tenant.compressor.expand(found)
    if budget is None and not query:
        return text
    try:
        return tenant.compressor.compress_text(text, budget or MOST, query).text
    except BudgetTooSmallError:
        return text[: budget or MOST]


def _session(tenant: Tenant, id: str, told: schemas.SessionOptions, config: Settings, begin: bool = False) -> Session:
    model = sanitize_model_name(told.model, config.models)
    budget = config.budget if told.budget is None and begin else told.budget
    given = {"model": model, "budget": budget, "tools": told.tools, "system": told.system}
    return tenant.sessions.get(id, given, begin)


def _balance(session: Session) -> dict[str, Any]:
    balance = session.cost_report()
    more = {"saved_cost": balance.saved_cost, "cached_fraction": balance.cached_fraction}
    return {"id": session.id, "count": session.count, "cost_report": {**asdict(balance), **more}}


def _account(made: Result | DocumentsResult | ExamplesResult, output: bytes) -> dict[str, Any]:
    return {
        **_sizes(made.tokens_before, made.tokens_after),
        "budget": made.budget,
        "tokenizer": made.tokenizer,
        "is_estimate": made.is_estimate,
        "warnings": made.warnings,
        "refs": _refs(output) if made.tokens_after < made.tokens_before else [],
        "cached": made.cached,
    }


def _sizes(before: int, after: int) -> dict[str, Any]:
    left = after / before if before else 1.0
    return {
        "tokens_before": before,
        "tokens_after": after,
        "tokens_saved": before - after,
        "compression_ratio": round(left, 4),
    }


def _refs(output: bytes) -> list[str]:
    return list(dict.fromkeys(find_refs(output.decode())))
