"""Turns exceptions into HTTP responses: {"error": {"type": "...", "message": "..."}}.

A client learns nothing about other tenants, and of an internal error only that it happened.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from compressor.errors import (
    BudgetError,
    BudgetTooSmallError,
    CompressorError,
    ContextError,
    DeviceError,
    ExpiredRefError,
    MissingDependencyError,
    ModelError,
    QueueFullError,
    RefError,
    SessionConflictError,
    StoreError,
    TokenizerError,
)

#: The first match counts. Errors that a client can fix are 4xx, those that it can only wait for are 503.
STATUS: tuple[tuple[type[CompressorError], int], ...] = (
    (ContextError, 400),
    (BudgetError, 400),
    (TokenizerError, 400),
    (BudgetTooSmallError, 422),
    (SessionConflictError, 409),
    (ExpiredRefError, 410),
    (RefError, 404),
    (QueueFullError, 503),
    (StoreError, 503),
    (ModelError, 503),
    (DeviceError, 503),
    (MissingDependencyError, 501),
    (CompressorError, 400),
)
#: Errors whose message describes this machine, and is not for clients.
_PRIVATE = (StoreError, ModelError, DeviceError, TokenizerError)


class HttpError(Exception):
    """A request that is answered with an error.

    Args:
        status: The HTTP status.
        kind: The stable, machine-readable type of the error.
        message: The text for people.
        headers: Further headers of the response.
        fields: Further fields of the error object.
    """

    def __init__(
        self,
        status: int,
        kind: str,
        message: str,
        headers: Mapping[str, str] | None = None,
        fields: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.kind, self.headers, self.fields = status, kind, dict(headers or {}), dict(fields or {})

    @property
    def body(self) -> dict[str, Any]:
        """The JSON of the response."""
        return {"error": {"type": self.kind, "message": str(self), **self.fields}}


def to_http_error(error: BaseException) -> HttpError:
    """Returns the response to an exception."""
    if isinstance(error, HttpError):
        return error
    if not isinstance(error, CompressorError):
        return HttpError(500, "internal_error", "Internal error: see the log of the service")
    status = next(status for kind, status in STATUS if isinstance(error, kind))
    headers = {"retry-after": "1"} if status == 503 else {}
    if isinstance(error, _PRIVATE):
        message = "The service cannot do this at the moment: see its log for the reason"
        return HttpError(status, error.code, message, headers)
    fields: dict[str, Any] = {}
    if isinstance(error, BudgetTooSmallError):
        fields = {"budget": error.budget, "needed": error.needed}
    if isinstance(error, SessionConflictError):
        fields = {"count": error.count}
    return HttpError(status, error.code, str(error), headers, fields)


def json_bytes(data: Any) -> bytes:
    """Returns data as JSON in UTF-8; lone surrogates, which UTF-8 cannot encode, are escaped.

    Raises:
        ValueError: The data has NaN or infinity.
    """
    try:
        return json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    except UnicodeEncodeError:
        return json.dumps(data, separators=(",", ":"), allow_nan=False).encode()


def without_message(error: BaseException) -> BaseException:
    """Returns an exception with the same traceback but without the message, which may quote content, for the log."""
    return RuntimeError(type(error).__name__).with_traceback(error.__traceback__)


async def send_error(send: Any, error: HttpError) -> None:
    """Answers a request of ASGI with an error."""
    body = json_bytes(error.body)
    headers = {"content-type": "application/json", "content-length": str(len(body)), **error.headers}
    pairs = [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": error.status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})
