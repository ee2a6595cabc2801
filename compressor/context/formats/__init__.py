"""The wire forms we read and write, and telling them apart.

    openai_chat        OpenAI chat completions (the default for plain role and content)
    openai_responses   OpenAI Responses input items
    anthropic          Anthropic messages
    langchain          langchain_core messages

`detect` only looks at shapes; whether the messages are sound is for the dialect's `parse` to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from compressor.context.formats.anthropic import Anthropic
from compressor.context.formats.base import Dialect, Edits
from compressor.context.formats.json_values import messages_of, plain
from compressor.context.formats.langchain import LangChain
from compressor.context.formats.openai_chat import OpenAIChat
from compressor.context.formats.openai_responses import OpenAIResponses
from compressor.errors import InvalidContext

__all__ = ["DIALECTS", "Dialect", "Edits", "detect", "goes_on"]

_CHAT, _RESPONSES, _ANTHROPIC, _LANGCHAIN = OpenAIChat(), OpenAIResponses(), Anthropic(), LangChain()
_Any = OpenAIChat | OpenAIResponses | Anthropic | LangChain
DIALECTS: tuple[Dialect, ...] = (_CHAT, _RESPONSES, _ANTHROPIC, _LANGCHAIN)


def detect(messages: Sequence[Any], tools: Sequence[Any] | None = None) -> Dialect:
    """The dialect these messages are written in.

    Messages that any dialect could have written are OpenAI chat, or Anthropic if the tools have an `input_schema`.
    `InvalidContext` for no messages at all, and naming the first message that does not go with those before it.
    """
    if not messages_of(messages):
        raise InvalidContext("the context is empty: give at least one message")
    left: tuple[_Any, ...] = (_LANGCHAIN, _RESPONSES, _ANTHROPIC, _CHAT)
    for index, message in enumerate(messages):
        fitting = tuple(dialect for dialect in left if dialect.fits(message))
        if not fitting:
            raise _misfit(messages, index, left)
        left = fitting
    for dialect in left:
        if isinstance(dialect, LangChain) or (
            not isinstance(dialect, OpenAIChat) and any(map(dialect.shows, messages))
        ):
            return dialect
    if _ANTHROPIC in left and any("input_schema" in (plain(tool) or {}) for tool in tools or ()):
        return _ANTHROPIC
    if _CHAT in left:
        return _CHAT
    if _ANTHROPIC in left:
        return _ANTHROPIC
    odd = next(index for index, message in enumerate(messages) if "role" not in (plain(message) or {}))
    raise InvalidContext("neither a message (it has no role) nor an item of a known type", odd)


def goes_on(dialect: Dialect, messages: Sequence[Any]) -> bool:
    """Whether these, after messages in which `dialect` was detected, surely leave it at that."""
    own: Any = dialect
    others = [other for other in (_RESPONSES, _ANTHROPIC) if other is not dialect]
    return all(own.fits(one) and not any(other.shows(one) for other in others) for one in messages)


def _misfit(messages: Sequence[Any], index: int, left: tuple[_Any, ...]) -> InvalidContext:
    message = messages[index]
    own = [dialect.name for dialect in (_LANGCHAIN, _RESPONSES, _ANTHROPIC, _CHAT) if dialect.fits(message)]
    if own:
        before = " or ".join(dialect.name for dialect in left)
        return InvalidContext(f"is written in {' or '.join(own)}, but what stands before it in {before}", index)
    if _LANGCHAIN in left and index:
        return InvalidContext(f"not a LangChain message like those before it but {type(message).__name__}", index)
    item = plain(message)
    if item is None:
        return InvalidContext(f"a message is a dict or a LangChain message, got {type(message).__name__}", index)
    if not isinstance(item.get("role"), str):
        return InvalidContext("a message needs a role", index)
    return InvalidContext(f"unknown role {item['role']!r}, or parts of several dialects in one message", index)
