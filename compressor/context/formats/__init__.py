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

from compressor.context.formats.anthropic import AnthropicFormat
from compressor.context.formats.base import Edits, MessageFormat
from compressor.context.formats.json_values import as_message_list, to_plain_dict
from compressor.context.formats.langchain import LangChainFormat
from compressor.context.formats.openai_chat import OpenAIChatFormat
from compressor.context.formats.openai_responses import OpenAIResponsesFormat
from compressor.errors import ContextError

__all__ = ["MESSAGE_FORMATS", "Edits", "MessageFormat", "detect_format", "is_continuation"]

_CHAT, _RESPONSES, _ANTHROPIC, _LANGCHAIN = (
    OpenAIChatFormat(),
    OpenAIResponsesFormat(),
    AnthropicFormat(),
    LangChainFormat(),
)
_Any = OpenAIChatFormat | OpenAIResponsesFormat | AnthropicFormat | LangChainFormat
MESSAGE_FORMATS: tuple[MessageFormat, ...] = (_CHAT, _RESPONSES, _ANTHROPIC, _LANGCHAIN)


def detect_format(messages: Sequence[Any], tools: Sequence[Any] | None = None) -> MessageFormat:
    """The dialect these messages are written in.

    Messages that any dialect could have written are OpenAI chat, or Anthropic if the tools have an `input_schema`.
    `ContextError` for no messages at all, and naming the first message that does not go with those before it.
    """
    if not as_message_list(messages):
        raise ContextError("the context is empty: give at least one message")
    left: tuple[_Any, ...] = (_LANGCHAIN, _RESPONSES, _ANTHROPIC, _CHAT)
    for index, message in enumerate(messages):
        fitting = tuple(dialect for dialect in left if dialect.may_match(message))
        if not fitting:
            raise _first_mismatch(messages, index, left)
        left = fitting
    for dialect in left:
        if isinstance(dialect, LangChainFormat) or (
            not isinstance(dialect, OpenAIChatFormat) and any(map(dialect.is_evidence, messages))
        ):
            return dialect
    if _ANTHROPIC in left and any("input_schema" in (to_plain_dict(tool) or {}) for tool in tools or ()):
        return _ANTHROPIC
    if _CHAT in left:
        return _CHAT
    if _ANTHROPIC in left:
        return _ANTHROPIC
    odd = next(index for index, message in enumerate(messages) if "role" not in (to_plain_dict(message) or {}))
    raise ContextError("neither a message (it has no role) nor an item of a known type", odd)


def is_continuation(dialect: MessageFormat, messages: Sequence[Any]) -> bool:
    """Whether these, after messages in which `dialect` was detected, surely leave it at that."""
    own: Any = dialect
    others = [other for other in (_RESPONSES, _ANTHROPIC) if other is not dialect]
    return all(own.may_match(one) and not any(other.is_evidence(one) for other in others) for one in messages)


def _first_mismatch(messages: Sequence[Any], index: int, left: tuple[_Any, ...]) -> ContextError:
    message = messages[index]
    own = [dialect.name for dialect in (_LANGCHAIN, _RESPONSES, _ANTHROPIC, _CHAT) if dialect.may_match(message)]
    if own:
        before = " or ".join(dialect.name for dialect in left)
        return ContextError(f"is written in {' or '.join(own)}, but what stands before it in {before}", index)
    if _LANGCHAIN in left and index:
        return ContextError(f"not a LangChain message like those before it but {type(message).__name__}", index)
    item = to_plain_dict(message)
    if item is None:
        return ContextError(f"a message is a dict or a LangChain message, got {type(message).__name__}", index)
    if not isinstance(item.get("role"), str):
        return ContextError("a message needs a role", index)
    return ContextError(f"unknown role {item['role']!r}, or parts of several dialects in one message", index)
