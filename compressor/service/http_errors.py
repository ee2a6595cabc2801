"""What goes wrong, as an HTTP answer: {"error": {"type": "...", "message": "..."}}.

Tells a client nothing about another tenant, and about what broke inside only that it did.
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

#: The first that fits. What a client can mend is 4xx, what it can only wait for 503.
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
#: Whose message is about this machine, and not for the client.
_OURS = (StoreError, ModelError, DeviceError, TokenizerError)


class HttpError(Exception):
    """A request that is not served."""

    def __init__(self, status: int, kind: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.kind, self.headers = status, kind, dict(headers or {})

    @property
    def body(self) -> dict[str, Any]:
        """The answer's JSON."""
        return {"error": {"type": self.kind, "message": str(self)}}


def to_http_error(error: BaseException) -> HttpError:
    """The answer to an error."""
    if isinstance(error, HttpError):
        return error
    if not isinstance(error, CompressorError):
        return HttpError(500, "internal_error", "the service failed; its log says more")
    status = next(status for kind, status in STATUS if isinstance(error, kind))
    kind = error.code
    headers = {"retry-after": "1"} if status == 503 else {}
    if isinstance(error, _OURS):
        return HttpError(status, kind, "not possible here now; the service's log says more", headers)
    made = HttpError(status, kind, str(error), headers)
    if isinstance(error, BudgetTooSmallError):
        made = _Sized(status, kind, str(error), headers)
        made.sizes = {"budget": error.budget, "needed": error.needed}
    if isinstance(error, SessionConflictError):
        made = _Sized(status, kind, str(error), headers)
        made.sizes = {"count": error.count}
    return made


class _Sized(HttpError):
    sizes: dict[str, int]

    @property
    def body(self) -> dict[str, Any]:
        return {"error": {**super().body["error"], **self.sizes}}


def json_bytes(data: Any) -> bytes:
    """JSON data as bytes; lone surrogates, which UTF-8 has no form for, are escaped. ValueError for NaN, infinity."""
    try:
        return json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    except UnicodeEncodeError:
        return json.dumps(data, separators=(",", ":"), allow_nan=False).encode()


def without_message(error: BaseException) -> BaseException:
    """The error with its traceback and without its message, which may quote content: for the log."""
    return RuntimeError(type(error).__name__).with_traceback(error.__traceback__)
