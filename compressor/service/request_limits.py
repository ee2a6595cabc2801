"""Limits what a request may hold: the bytes of its body, and how deep its JSON is nested."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, NoReturn

from compressor.service.http_errors import HttpError

Receive = Callable[[], Awaitable[Any]]
Headers = Iterable[tuple[bytes, bytes]]


async def read_body(receive: Receive, headers: Headers, max_bytes: int, timeout: float) -> bytes:
    """Reads the whole body of a request.

    Args:
        receive: ASGI's function that returns the next part of the body.
        headers: The headers of the request.
        max_bytes: The maximum size of the body.
        timeout: Seconds for the body to arrive.

    Raises:
        HttpError: 413 for a body that is too large, 408 after the timeout, 400 if the client disconnected.
    """
    for name, value in headers:
        if name == b"content-length" and value.isdigit() and int(value) > max_bytes:
            raise _too_large(max_bytes)
    try:
        return await asyncio.wait_for(_read(receive, max_bytes), timeout)
    except asyncio.TimeoutError:
        raise HttpError(408, "timeout", f"The request body did not arrive within {timeout:g} s") from None


def body_size(headers: Headers, max_bytes: int) -> int:
    """Returns how many bytes the body of a request may have: the length that it names, or the maximum."""
    size = 0
    for name, value in headers:
        if name == b"content-length" and value.isdigit():
            return min(int(value), max_bytes)
        if name == b"transfer-encoding":
            size = max_bytes
    return size


def reject_ambiguous_length(headers: Headers) -> None:
    """Rejects a request that gives the length of its body in two ways.

    A server in front may go by the other length, and take the rest for somebody's next request (RFC 9112, 6.1).

    Raises:
        HttpError: 400 for such a request.
    """
    if {b"content-length", b"transfer-encoding"} <= {name for name, _ in headers}:
        raise HttpError(
            400,
            "ambiguous_length",
            "The request has both content-length and transfer-encoding: send one of them",
            {"connection": "close"},
        )


async def _read(receive: Receive, max_bytes: int) -> bytes:
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise HttpError(400, "disconnected", "The client disconnected before the body was complete")
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > max_bytes:
            raise _too_large(max_bytes)
        if not message.get("more_body"):
            return b"".join(parts)


def _too_large(max_bytes: int) -> HttpError:
    # The rest of the body is not read, so the connection cannot be used again.
    message = f"The request body is too large (limit: {max_bytes} bytes)"
    return HttpError(413, "too_large", message, {"connection": "close"})


def parse(body: bytes, depth: int) -> Any:
    """Parses a JSON body.

    Args:
        body: The bytes of the body.
        depth: How deep the JSON may be nested.

    Raises:
        HttpError: 400 for invalid JSON, for NaN and infinity, and for JSON that is nested too deep.
    """
    try:
        data = json.loads(body, parse_constant=_reject_constant)
    except RecursionError:
        raise _too_deep(depth) from None
    except ValueError as error:
        where = f" (character {error.pos})" if isinstance(error, json.JSONDecodeError) else ""
        raise HttpError(400, "invalid_json", f"The request body is not valid JSON{where}") from None
    check_depth(data, depth)
    return data


def check_depth(data: Any, depth: int, shown_depth: int | None = None) -> None:
    """Checks how deep JSON data is nested.

    Args:
        data: The data.
        depth: How deep it may be nested.
        shown_depth: The limit that the error names, if it is not `depth`.

    Raises:
        HttpError: 400 for data that is nested deeper.
    """
    level: list[Any] = [data] if isinstance(data, (dict, list)) else []
    for _ in range(depth):
        if not level:
            return
        inside = (item.values() if isinstance(item, dict) else item for item in level)
        level = [value for values in inside for value in values if isinstance(value, (dict, list))]
    if level:
        raise _too_deep(depth if shown_depth is None else shown_depth)


def _too_deep(depth: int) -> HttpError:
    return HttpError(400, "too_deep", f"The JSON of the request body is nested too deep (limit: {depth} levels)")


def _reject_constant(name: str) -> NoReturn:
    raise ValueError(name)
