"""Writes the log to stderr: one line of JSON for each request, with what was done and how long it took.

A line has no content, no key and no session id. Content is written only if the settings ask for it, at level debug,
shortened and with secrets removed.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from compressor.service.telemetry.records import RequestRecord, known_method

log = logging.getLogger("compressor.service")
PROBE_ROUTES = ("/healthz", "/readyz", "/metrics")  # requested every few seconds: logged at debug, never traced
MAX_CONTENT_CHARS = 2_000
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/+=-]{0,99}")


def start_record(method: str, request_id: bytes) -> RequestRecord:
    """Returns the record of a new request.

    Args:
        method: The HTTP method.
        request_id: The request's `x-request-id`. It is used if it is well-formed, so that one id leads through all
            services; otherwise a new id is made.
    """
    given = _ID.fullmatch(request_id.decode("latin-1"))
    return RequestRecord(given[0] if given else uuid4().hex[:16], known_method(method))


def log_request(record: RequestRecord, seconds: float) -> None:
    """Writes the request's line: at level error for 5xx, warning for 4xx, info for others."""
    level = logging.ERROR if record.status >= 500 else logging.WARNING if record.status >= 400 else logging.INFO
    if level == logging.INFO and record.route in PROBE_ROUTES:
        level = logging.DEBUG
    if log.isEnabledFor(level):
        log.log(level, "request", extra={"data": record.data(seconds)})


def log_content(record: RequestRecord, body: bytes, redact: Callable[[str], str]) -> None:
    """Writes the beginning of a request's body at level debug, with secrets removed by `redact`."""
    if body and log.isEnabledFor(logging.DEBUG):
        # Redact before shortening: half a secret would not be recognised.
        text = redact(body[: 10 * MAX_CONTENT_CHARS].decode("utf-8", "replace"))
        more = "…" if len(text) > MAX_CONTENT_CHARS or len(body) > 10 * MAX_CONTENT_CHARS else ""
        log.debug("content", extra={"data": {"id": record.id, "body": text[:MAX_CONTENT_CHARS] + more}})


def set_logging(level: str) -> None:
    """Sets up the log: lines of JSON on stderr."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in ("httpx", "httpcore", "urllib3", "websockets"):  # they log URLs, and websockets content
        logging.getLogger(name).setLevel(logging.WARNING)
    uvicorn = logging.getLogger("uvicorn.error")
    uvicorn.setLevel(max(logging.INFO, logging.getLogger().level))  # at debug it logs what is in websockets
    uvicorn.addFilter(_is_wanted)


def _is_wanted(record: logging.LogRecord) -> bool:
    """Returns False for two lines of uvicorn about a websocket: its path may begin with a key, and one is no error."""
    text = str(record.msg)
    return '"WebSocket %s"' not in text and "without completing handshake" not in text


class JsonFormatter(logging.Formatter):
    """Formats a record as one JSON object in ASCII, so that a client's text cannot start a line or move a cursor."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns the line."""
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
