"""Notices when a stream sends its first content to the client: text, reasoning, or the call of a tool."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

_TAIL_BYTES = 2_000  # of what was sent, in which the beginning of an event may stand
# A key that holds text in any provider's stream, with text in it, or the beginning of a call.
_CONTENT = re.compile(
    rb'"(?:content|text|delta|arguments|partial_json|thinking|reasoning|reasoning_content|refusal|transcript)"'
    rb'\s*:\s*"(?!")|"tool_calls"\s*:\s*\[\s*\{|"type"\s*:\s*"(?:tool_use|function_call)"'
)

Send = Callable[[Any], Awaitable[None]]


def has_content(sent: bytes) -> bool:
    """Returns whether a part of an event stream has content of the model's answer."""
    return _CONTENT.search(sent) is not None


def watch_first_token(send: Send, notify: Callable[[], None]) -> Send:
    """Returns an ASGI `send` that notifies once, just before the first content of an event stream is sent.

    Other responses, and packed streams that are forwarded as they are, do not notify.

    Args:
        send: ASGI's function that sends a part of the response.
        notify: Called without arguments.
    """
    is_watching, tail = False, b""

    async def watched(message: Any) -> None:
        nonlocal is_watching, tail
        if message["type"] == "http.response.start":
            headers = {name.lower(): value for name, value in message.get("headers", ())}
            is_stream = headers.get(b"content-type", b"").startswith(b"text/event-stream")
            is_watching = is_stream and headers.get(b"content-encoding", b"identity") == b"identity"
        elif is_watching and (body := message.get("body", b"")):
            tail += body
            if has_content(tail):
                is_watching = False
                notify()
            tail = tail[-_TAIL_BYTES:] if is_watching else b""
        await send(message)

    return watched
