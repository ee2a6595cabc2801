"""The message formats that are read and written, and how they are told apart.

    openai_chat        OpenAI chat completions (the default for plain role and content)
    openai_responses   OpenAI Responses input items
    anthropic          Anthropic messages
    langchain          langchain_core messages

`detect_format` only looks at shapes. Whether the messages are valid is checked by the format's `parse`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from compressor.context.formats.anthropic import AnthropicFormat
from compressor.context.formats.base import Edits, MessageFormat
from compressor.context.formats.function_tools import read_function
from compressor.context.formats.json_values import as_message_list, to_plain_dict
from compressor.context.formats.langchain import LangChainFormat
from compressor.context.formats.openai_chat import OpenAIChatFormat
from compressor.context.formats.openai_responses import OpenAIResponsesFormat
from compressor.errors import ContextError

__all__ = ["MESSAGE_FORMATS", "Edits", "MessageFormat", "detect_format"]

_CHAT, _RESPONSES, _ANTHROPIC, _LANGCHAIN = (
    OpenAIChatFormat(),
    OpenAIResponsesFormat(),
    AnthropicFormat(),
    LangChainFormat(),
)
_Any = OpenAIChatFormat | OpenAIResponsesFormat | AnthropicFormat | LangChainFormat
MESSAGE_FORMATS: tuple[MessageFormat, ...] = (_CHAT, _RESPONSES, _ANTHROPIC, _LANGCHAIN)
_CANDIDATES: tuple[_Any, ...] = (_LANGCHAIN, _RESPONSES, _ANTHROPIC, _CHAT)  # in the order in which they are chosen
_Silent = OpenAIChatFormat | LangChainFormat  # no message is evidence of these
_SHIFT = len(_CANDIDATES)
ANY_FORMAT = (1 << _SHIFT) - 1  # no message has been read yet


def detect_format(messages: Sequence[Any], tools: Sequence[Any] | None = None, lenient: bool = False) -> MessageFormat:
    """Returns the format that messages are written in.

    Messages that would be valid in any format are OpenAI chat, or Anthropic if the tools have an `input_schema`.

    Args:
        messages: The caller's messages.
        tools: The tool schemas that are sent with them.
        lenient: Whether messages of no format, or of another one than the others, are passed over. The format is then
            the one that most messages may have.

    Raises:
        ContextError: There are no messages, or one of them has another format than those before it. The error has the
            index of that message. If lenient, only the first.
    """
    if not as_message_list(messages):
        raise ContextError("the context is empty: give at least one message")

    def has_evidence(candidate: _Any) -> bool:
        return not isinstance(candidate, _Silent) and any(map(candidate.is_evidence, messages))

    candidates = _CANDIDATES
    for index, message in enumerate(messages):
        matching = tuple(candidate for candidate in candidates if candidate.may_match(message))
        if not matching and lenient:
            return _choose(_most_matching(messages), has_evidence, tools) or _RESPONSES
        if not matching:
            raise _first_mismatch(messages, index, candidates)
        candidates = matching
    if (chosen := _choose(candidates, has_evidence, tools)) is not None:
        return chosen
    if lenient:
        return _RESPONSES
    odd = next(index for index, message in enumerate(messages) if "role" not in (to_plain_dict(message) or {}))
    raise ContextError("the role is missing, and the type is not one of OpenAI's Responses items", odd)


def _choose(
    candidates: tuple[_Any, ...], has_evidence: Callable[[_Any], bool], tools: Sequence[Any] | None
) -> _Any | None:
    for candidate in candidates:
        if isinstance(candidate, LangChainFormat) or (
            not isinstance(candidate, OpenAIChatFormat) and has_evidence(candidate)
        ):
            return candidate
    if _ANTHROPIC in candidates and any(_is_anthropic(tool) for tool in tools or ()):
        return _ANTHROPIC
    if _CHAT in candidates:
        return _CHAT
    return _ANTHROPIC if _ANTHROPIC in candidates else None


def narrow_formats(state: int, message: Any) -> int:
    """Returns which formats a list of messages may have, after one more message.

    Args:
        state: What this function returned for the messages before; `ANY_FORMAT` if there are none.
        message: The next message.
    """
    out = state
    for bit, candidate in enumerate(_CANDIDATES):
        if state >> bit & 1:
            if not candidate.may_match(message):
                out &= ~(1 << bit)
            elif isinstance(candidate, _Silent) or state >> _SHIFT + bit & 1:
                continue
            elif candidate.is_evidence(message):
                out |= 1 << _SHIFT + bit
    return out


def format_of_state(state: int, tools: Sequence[Any] | None = None) -> MessageFormat | None:
    """Returns the format that `detect_format` would choose, or None if that raises an error or has to be lenient.

    Args:
        state: What `narrow_formats` returned for all messages.
        tools: The tool schemas that are sent with them.
    """
    candidates = tuple(candidate for bit, candidate in enumerate(_CANDIDATES) if state >> bit & 1)
    return _choose(candidates, lambda candidate: bool(state >> _SHIFT + _CANDIDATES.index(candidate) & 1), tools)


def _is_anthropic(tool: Any) -> bool:
    function = read_function(tool)
    return function is not None and function.form == "anthropic"


def _most_matching(messages: Sequence[Any]) -> tuple[_Any, ...]:
    """The formats that most messages may have."""
    candidates = _CANDIDATES
    counts = [sum(map(candidate.may_match, messages)) for candidate in candidates]
    return tuple(c for c, count in zip(candidates, counts, strict=True) if count and count == max(counts)) or (_CHAT,)


def _first_mismatch(messages: Sequence[Any], index: int, candidates: tuple[_Any, ...]) -> ContextError:
    message = messages[index]
    own = [candidate.name for candidate in _CANDIDATES if candidate.may_match(message)]
    if own:
        before = " or ".join(candidate.name for candidate in candidates)
        return ContextError(f"the format is {' or '.join(own)}, but the messages before it are in {before}", index)
    if _LANGCHAIN in candidates and index:
        return ContextError(f"a {type(message).__name__} is not a LangChain message like those before it", index)
    item = to_plain_dict(message)
    if item is None:
        return ContextError(f"a message must be a dict or a LangChain message, got {type(message).__name__}", index)
    if not isinstance(item.get("role"), str):
        return ContextError("the role is missing", index)
    return ContextError(f"unknown role {item['role']!r}, or parts of several message formats in one message", index)
