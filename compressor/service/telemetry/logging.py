"""The log: a line of JSON for each request, with what was done and how long it took. No content, no key, no name of a
session; content only where the settings ask for it, at level debug, shortened, with secrets taken out.

Writes to stderr. Counts nothing (`metrics`).
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import uuid4

if TYPE_CHECKING:
    from compressor.service.telemetry.metrics import CompressionEvent

log = logging.getLogger("compressor.service")
PROBE_ROUTES = ("/healthz", "/readyz", "/metrics")  # asked every few seconds by machines: logged at debug, never traced
MAX_CONTENT_CHARS = 2_000  # characters of content that a line may show
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/+=-]{0,99}")
_METHODS = frozenset("GET HEAD POST PUT DELETE CONNECT OPTIONS TRACE PATCH".split())


@dataclass(slots=True)
class RequestRecord:
    """What is known of one request. `waited`: seconds in queues; `trace`: the W3C trace id, "" without a trace."""

    id: str
    method: str
    tenant: str = "-"
    route: str = "other"
    status: int = 0
    work: CompressionEvent | None = None
    queue_seconds: float = 0.0
    trace: str = ""
    reasons: list[str] = field(default_factory=list)

    def warn(self, *reasons: str) -> None:
        """Notes why something was not done as asked, in words of `reasons.ALL`."""
        self.reasons += [reason for reason in dict.fromkeys(reasons) if reason not in self.reasons]

    def data(self, seconds: float) -> dict[str, Any]:
        """The line's fields. Times are milliseconds."""
        out: dict[str, Any] = {"id": self.id, "tenant": self.tenant, "method": self.method, "route": self.route}
        out |= {"status": self.status, "ms": round(1000 * seconds, 2)}
        if self.queue_seconds >= 0.001:
            out["wait_ms"] = round(1000 * self.queue_seconds, 2)
        if (work := self.work) is not None:
            out |= {
                "tokens_before": work.tokens_before,
                "tokens_after": work.tokens_after,
                "saved": round(work.saved, 6),
            }
            out["tier"] = work.tier
            if work.cache:
                out["cache"] = work.cache
            if work.session:
                out["session"] = pseudonym(work.tenant, work.session)
        if self.reasons:
            out["warnings"] = self.reasons
        if self.trace:
            out["trace_id"] = self.trace
        return out


#: The request at hand, in its task and in the threads that work for it.
CURRENT_RECORD: ContextVar[RequestRecord | None] = ContextVar("CURRENT", default=None)


def start_record(method: str, asked: bytes) -> RequestRecord:
    """A request's record. asked: its `x-request-id`, which is taken over if it is one, so that one id leads through
    all services."""
    known = _ID.fullmatch(asked.decode("latin-1"))
    return RequestRecord(known[0] if known else uuid4().hex[:16], known_method(method))


def known_method(method: str) -> str:
    """An HTTP method, or what OpenTelemetry calls any other word."""
    return method if method in _METHODS else "_OTHER"


def log_request(record: RequestRecord, seconds: float) -> None:
    """Writes the request's line: an error for 5xx, a warning for 4xx."""
    level = logging.ERROR if record.status >= 500 else logging.WARNING if record.status >= 400 else logging.INFO
    if level == logging.INFO and record.route in PROBE_ROUTES:
        level = logging.DEBUG
    if log.isEnabledFor(level):
        log.log(level, "request", extra={"data": record.data(seconds)})


def log_content(record: RequestRecord, body: bytes, redact: Callable[[str], str]) -> None:
    """Writes the beginning of a request's body, at debug level. `redact` takes secrets out of a text."""
    if body and log.isEnabledFor(logging.DEBUG):
        text = redact(
            body[: 10 * MAX_CONTENT_CHARS].decode("utf-8", "replace")
        )  # first, or a cut secret would not be known as one
        more = "…" if len(text) > MAX_CONTENT_CHARS or len(body) > 10 * MAX_CONTENT_CHARS else ""
        log.debug("content", extra={"data": {"id": record.id, "body": text[:MAX_CONTENT_CHARS] + more}})


def pseudonym(tenant: str, session: str) -> str:
    """A session in logs and traces: always the same, and not its name, which may say something."""
    return hashlib.blake2b(f"{tenant}\0{session}".encode("utf-8", "replace"), digest_size=6).hexdigest()


def set_logging(level: str) -> None:
    """Logs lines of JSON to stderr."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Lines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in ("httpx", "httpcore", "urllib3"):  # they log URLs
        logging.getLogger(name).setLevel(logging.WARNING)


class _Lines(logging.Formatter):
    """One JSON object a line. In ASCII: nothing that a client sends ends a line, or moves a terminal's cursor."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **getattr(record, "data", {}),
        }
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)
