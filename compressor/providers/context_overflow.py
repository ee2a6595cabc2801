"""Recognises a provider's answer that a request has more tokens than its model takes, and makes a smaller view.

Providers and local servers have no common code for it, so the texts of the error are searched as well.
"""

from __future__ import annotations

import re
from typing import Any

from compressor.sessions.conversation import Conversation

#: Times that a request is sent again, each with at most half the tokens.
MAX_HALVINGS = 2

_TOO_LARGE = 413
_REFUSED = (400, 422)
_TEXT = re.compile(
    r"context_length_exceeded|model_context_window_exceeded|exceed_context_size|string_above_max_length"
    r"|maximum context length|max_model_len|context (?:window|length|limit|size)"
    r"|(?:prompt|input|request|messages?)[\w ,'`]{0,40}\btoo (?:long|large)"
    r"|too many (?:input |prompt )?tokens|reduce the length|input token count",
    re.IGNORECASE,
)


def is_context_overflow(status: int | None, text: str) -> bool:
    """Returns whether an error says that the prompt is too long for the model.

    Args:
        status: The HTTP status.
        text: The body or the message of the error.
    """
    return status == _TOO_LARGE or (status in _REFUSED and _TEXT.search(text) is not None)


def halve_limit(conversation: Any) -> bool:
    """Sets the limit of a conversation's or session's views to half its current view.

    Returns:
        Whether the next view is smaller.

    Raises:
        CompressorError: As `Conversation.view`.
    """
    before, runtime = in_memory(conversation).view_tokens, in_memory(conversation).runtime
    runtime.max_tokens = max(1, min(runtime.max_tokens, before) // 2)
    conversation.view(best_effort=True)
    return in_memory(conversation).view_tokens < before


def in_memory(conversation: Any) -> Conversation:
    """Returns the conversation that a session holds, or the conversation itself."""
    found: Conversation = getattr(conversation, "_conversation", conversation)
    return found
