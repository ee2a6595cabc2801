"""What logs, metrics and traces record: one compression, and one request. No content, no key."""

from __future__ import annotations

import hashlib
import time
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Literal

from compressor.sessions.usage_notes import ToolUse

_METHODS = frozenset("GET HEAD POST PUT DELETE CONNECT OPTIONS TRACE PATCH".split())


@dataclass(frozen=True, slots=True)
class CompressionEvent:
    """One compression that the service did.

    Attributes:
        tenant: The tenant's name.
        kind: What was compressed: a single call's context, documents, examples, tools, or a conversation or session.
            Two kinds compress no context: "append" took new messages into a session, and "answer" is what the answer
            to a proxied call added (bills, expansions, hidden rounds).
        tokens_before: Tokens of the input.
        tokens_after: Tokens of the output.
        saved: Net dollars saved, at list prices.
        seconds: How long it took here, without the provider.
        cache: Whether the result was cached ("hit"), computed by a concurrent identical request ("coalesced") or
            computed now ("miss"); "" where results are not cached.
        tier: The scorer tier.
        session: The session's id, "" for a single call.
        warnings: The fallbacks taken.
        refs: Refs of the dropped text.
        billed_tokens: Prompt tokens that the provider has billed since the last event.
        billed_cached: Those of them that came from the provider's cache.
        model: The model's name, "" if it is not known.
        over_window: Whether the context was larger than the model's window, and is not any more.
        tools: What the tool results cost that are new since the last event.
    """

    tenant: str
    kind: Literal["call", "documents", "examples", "tools", "conversation", "session", "append", "answer"]
    tokens_before: int
    tokens_after: int
    saved: float = 0.0
    seconds: float = 0.0
    cache: Literal["", "hit", "coalesced", "miss"] = ""
    tier: str = "fast"
    session: str = ""
    warnings: tuple[str, ...] = ()
    refs: tuple[str, ...] = ()
    billed_tokens: int = 0
    billed_cached: int = 0
    model: str = ""
    over_window: bool = False
    tools: tuple[ToolUse, ...] = ()

    @property
    def is_compression(self) -> bool:
        """Returns whether a context was compressed."""
        return self.kind not in ("append", "answer")


@dataclass(slots=True)
class RequestRecord:
    """What is known of one request.

    Attributes:
        id: The request id.
        method: The HTTP method, as `known_method` returns it.
        tenant: The tenant's name, "-" before it is known.
        route: The route's template, without ids.
        status: The status of the response, 0 before it is sent.
        compression: The compression that was done for it.
        queue_seconds: Seconds spent in queues.
        trace: The W3C trace id, "" without a trace.
        reasons: Why something was not done as asked, as `warning_categories` names it.
        started: When the request arrived, by `time.perf_counter`.
        own_seconds: Seconds that the compressor took, without the provider and the client.
        first_token_seconds: Seconds until the first part of a streamed answer was sent, None without one.
    """

    id: str
    method: str
    tenant: str = "-"
    route: str = "other"
    status: int = 0
    compression: CompressionEvent | None = None
    queue_seconds: float = 0.0
    trace: str = ""
    reasons: list[str] = field(default_factory=list)
    started: float = field(default_factory=time.perf_counter)
    own_seconds: float = 0.0
    first_token_seconds: float | None = None

    def warn(self, *reasons: str) -> None:
        """Adds reasons, each once."""
        self.reasons += [reason for reason in dict.fromkeys(reasons) if reason not in self.reasons]

    def data(self, seconds: float) -> dict[str, Any]:
        """Returns the fields of the log line. Times are in milliseconds."""
        out: dict[str, Any] = {"id": self.id, "tenant": self.tenant, "method": self.method, "route": self.route}
        out |= {"status": self.status, "ms": round(1000 * seconds, 2)}
        if self.queue_seconds >= 0.001:
            out["wait_ms"] = round(1000 * self.queue_seconds, 2)
        event = self.compression
        if own := self.own_seconds or (event.seconds if event is not None else 0.0):
            out["own_ms"] = round(1000 * own, 2)
        if self.first_token_seconds is not None:
            out["ttft_ms"] = round(1000 * self.first_token_seconds, 2)
        if event is not None and event.session:
            out["session"] = pseudonym(event.tenant, event.session)
        if event is not None and event.is_compression:
            out |= {"tokens_before": event.tokens_before, "tokens_after": event.tokens_after}
            out |= {"saved": round(event.saved, 6), "tier": event.tier}
            if event.cache:
                out["cache"] = event.cache
        if self.reasons:
            out["warnings"] = self.reasons
        if self.trace:
            out["trace_id"] = self.trace
        return out


#: The record of the current request, in its task and in the threads that work for it.
CURRENT_RECORD: ContextVar[RequestRecord | None] = ContextVar("CURRENT_RECORD", default=None)


def add_own_seconds(seconds: float) -> None:
    """Adds to the time that the compressor took for the current request."""
    if (record := CURRENT_RECORD.get()) is not None:
        record.own_seconds += seconds


def known_method(method: str) -> str:
    """Returns an HTTP method, or "_OTHER" (OpenTelemetry's name) for an unknown one."""
    return method if method in _METHODS else "_OTHER"


def pseudonym(tenant: str, session: str) -> str:
    """Returns a stable name of a session for logs and traces; its id may reveal something."""
    return hashlib.blake2b(f"{tenant}\0{session}".encode("utf-8", "replace"), digest_size=6).hexdigest()
