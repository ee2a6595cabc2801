"""Removes whole blocks of provider-signed reasoning from finished turns, where the provider allows that.

Nothing inside a block is ever changed, and the current turn is left alone. A turn ends where a user speaks after the
agent has answered, with all its calls answered; a tool loop is one turn, however long.

Anthropic: `thinking` and `redacted_thinking` of the current turn must be sent back complete and in order. Those of
    earlier turns may be left out (https://platform.claude.com/docs/en/build-with-claude/extended-thinking, "Preserving
    thinking blocks"; the API's own `clear_thinking_20251015` does it, .../context-editing). Models with preserved
    thinking (Claude Fable 5.1 and later, .../preserved-thinking) check blocks against everything before them and
    against their neighbours: "It also fails if a thinking block between others was left out or moved". So the oldest
    blocks are removed first and without gaps, and on these models whoever edits a message leaves no signed block behind
    it: `current=True`. Earlier models check a block alone, and want the one of the open tool round.
OpenAI Responses: the model uses reasoning within a turn and discards it afterwards
    (https://cookbook.openai.com/examples/responses_api/reasoning_items). The API accepts items of earlier turns without
    their reasoning only if they have no `id` that ties them to it ("Item 'msg_…' was provided without its required
    'reasoning' item", github.com/continuedev/continue/issues/11994). So these ids are removed, too; reasoning stays in
    a turn with an item that needs its id (a search, a computer call, a reference).
OpenAI-compatible (`reasoning_content`, `reasoning`, `reasoning_details`): DeepSeek ignores it in turns without a tool
    call, and rejects requests that lack it in turns with one, "in all subsequent requests"
    (https://api-docs.deepseek.com/guides/thinking_mode); users report that DeepSeek requires all of it once there are
    tools. Other providers have preserved thinking of their own. So it is removed only if no tool was called at all.
LangChain: messages that carry such blocks follow the rules of the provider that made them; Google's stay as they are.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from compressor.context.formats.base import MessageFormat
from compressor.context.formats.json_values import to_plain_dict
from compressor.context.model import Turn

#: The index of the message that reasoning was removed from, and its text (JSON where it has no readable text).
Removed = tuple[int, str]

_THINKING = ("thinking", "redacted_thinking")
_FIELDS = ("reasoning_content", "reasoning", "reasoning_details")
#: Types of items (Responses) and blocks (LangChain) that the API also accepts without an id.
_ID_OPTIONAL = ("message", "function_call", "custom_tool_call", "text", "output_text", "refusal", "tool_call")


def strip_finished_reasoning(
    messages: Sequence[Any], message_format: MessageFormat, current: bool = False, lenient: bool = False
) -> tuple[list[Any], list[Removed]]:
    """Removes the reasoning of finished turns that the provider does not require.

    Args:
        messages: The caller's messages.
        message_format: Their format.
        current: Also remove the reasoning of the current turn that Anthropic signed: on models that bind it to what
            stands before it, it is of no use once that has changed.
        lenient: Whether the messages are parsed leniently.

    Returns:
        The messages, and what was removed, with indices into the messages given. A message from which nothing was
        removed is the same object. An item that is only reasoning is removed as a whole; in the other formats a
        message without any other content stays as it is.

    Raises:
        ContextError: The format rejects the messages.
    """
    turns = message_format.parse(messages, lenient=lenient).turns
    end = _finished(turns)
    signed_end = len(messages) if current else end
    out, removed = list(messages), list[Removed]()
    if message_format.name == "openai_responses":
        return _strip_items(out, end)
    if message_format.name == "anthropic":
        _oldest(out, signed_end, _anthropic, removed)
    elif message_format.name == "openai_chat":
        if not _called(turns):
            _each(out, end, _chat, removed)
    elif message_format.name == "langchain":
        _oldest(out, signed_end, _langchain_signed, removed)
        _each(out, end, _langchain_items, removed)
        if not _called(turns):
            _each(out, end, _langchain_fields, removed)
        removed.sort(key=lambda entry: entry[0])
    return out, removed


def _finished(turns: Sequence[Turn]) -> int:
    """Counts the messages of finished turns: those before the last user message that is not part of a tool round.

    A user message right after tool results is part of the round, because providers receive both in one message.
    """
    end, after_results = 0, False
    pending_call_ids: set[str] = set()
    for turn in turns:
        pending_call_ids |= set(turn.call_ids)
        pending_call_ids -= set(turn.result_call_ids)
        if turn.role == "assistant":
            after_results = False
        elif turn.role == "tool" or turn.result_call_ids:
            after_results = True
        elif turn.role == "user" and not after_results and not pending_call_ids:
            end = turn.index
    return end


def _called(turns: Sequence[Turn]) -> bool:
    """Whether any tool was called."""
    return any(t.call_ids or t.role == "tool" or any(s.kind == "tool_call" for s in t.slots) for t in turns)


#: A message without its reasoning (None if nothing would be left), and the reasoning; None for a message without any.
_Found = tuple[Any | None, list[str]] | None
_Split = Callable[[Any], _Found]


def _each(out: list[Any], end: int, split: _Split, removed: list[Removed]) -> None:
    for index in range(end):
        found = split(out[index])
        if found is not None and found[0] is not None:
            out[index] = found[0]
            removed.extend((index, text) for text in found[1])


def _oldest(out: list[Any], end: int, split: _Split, removed: list[Removed]) -> None:
    """Like `_each`, up to the first message that would be empty, so that no gap arises between remaining blocks."""
    for index in range(end):
        found = split(out[index])
        if found is None:
            continue
        if found[0] is None:
            return
        out[index] = found[0]
        removed.extend((index, text) for text in found[1])


def _anthropic(message: Any) -> _Found:
    item = to_plain_dict(message) or {}
    if item.get("role") != "assistant":
        return None
    found = _parts(item.get("content"), lambda part: str(part.get("type")) in _THINKING)
    return _map_found(found, lambda left: {**item, "content": left})


def _map_found(found: _Found, make: Callable[[Any], Any]) -> _Found:
    """Puts the remaining content into a message."""
    return found if found is None or found[0] is None else (make(found[0]), found[1])


def _parts(content: Any, is_removable: Callable[[dict[str, Any]], bool]) -> _Found:
    """The content without the parts to remove (None if only blank text would be left), and the texts of these parts."""
    if not isinstance(content, (list, tuple)):
        return None
    removed = [part for value in content if (part := to_plain_dict(value)) is not None and is_removable(part)]
    if not removed:
        return None
    left = [value for value in content if (part := to_plain_dict(value)) is None or not is_removable(part)]
    return (left if any(map(_has_content, left)) else None), [_text(part) for part in removed]


def _has_content(value: Any) -> bool:
    """Whether a content part is more than blank text."""
    part = to_plain_dict(value)
    text = value if part is None else part.get("text") if part.get("type") in ("text", "output_text") else "…"
    return not isinstance(text, str) or bool(text.strip())


def _text(part: dict[str, Any]) -> str:
    """The reasoning as text, or as JSON if it has no readable text."""
    for key in ("thinking", "reasoning"):
        if isinstance(part.get(key), str) and part[key]:
            return str(part[key])
    texts: list[str] = []
    for key in ("content", "summary"):
        held = part.get(key)
        for value in held if isinstance(held, (list, tuple)) else ():
            text = (to_plain_dict(value) or {}).get("text")
            texts += [text] if isinstance(text, str) and text else []
    return "\n".join(texts) or json.dumps(part, ensure_ascii=False, default=str)


def _chat(message: Any) -> _Found:
    item = to_plain_dict(message) or {}
    found = _fields(item) if item.get("role") == "assistant" else None
    if found is None:
        return None
    return (found[0] if item.get("content") or item.get("refusal") else None), found[1]


def _fields(item: dict[str, Any]) -> _Found:
    """A dict without its reasoning fields, and what they held; None also if Anthropic's blocks are beside them."""
    held = [key for key in _FIELDS if item.get(key)]
    if not held or item.get("thinking_blocks"):
        return None
    texts = dict.fromkeys(v if isinstance(v := item[key], str) else json.dumps(v, default=str) for key in held)
    return {key: value for key, value in item.items() if key not in _FIELDS}, list(texts)


def _strip_items(items: list[Any], end: int) -> tuple[list[Any], list[Removed]]:
    """Responses: removes the reasoning items of whole turns, and the ids of the items that they led to."""
    held = [to_plain_dict(item) or {} for item in items]
    removed: list[Removed] = []
    without_id: dict[int, dict[str, Any]] = {}
    start = 0
    for stop in range(end + 1):
        if stop < end and held[stop].get("role") != "user":
            continue
        turn = range(start, stop)
        start = stop + 1
        reasons = [i for i in turn if held[i].get("type") == "reasoning"]
        tied = [i for i in turn if i not in reasons and held[i].get("id") and _is_tied(held[i])]
        if reasons and all(_kind(held[i]) in _ID_OPTIONAL for i in tied):
            removed.extend((i, _text(held[i])) for i in reasons)
            without_id.update((i, {k: v for k, v in held[i].items() if k != "id"}) for i in tied)
    removed_indices = {i for i, _ in removed}
    return [without_id.get(i, item) for i, item in enumerate(items) if i not in removed_indices], removed


def _kind(item: dict[str, Any]) -> Any:
    return item.get("type") or ("message" if "role" in item else None)


def _is_tied(item: dict[str, Any]) -> bool:
    """Whether reasoning may have led to an item with an id, unlike to results and other roles' messages."""
    return item.get("role", "assistant") == "assistant" and not str(item.get("type")).endswith("_output")


def _langchain_signed(message: Any) -> _Found:
    provider = _provider(message)
    if provider is None or provider.startswith("google"):  # Google has blocks of the same type
        return None
    kinds = (*_THINKING, "reasoning") if provider == "anthropic" else _THINKING
    found = _parts(message.content, lambda part: str(part.get("type")) in kinds)
    return _map_found(found, lambda left: message.model_copy(update={"content": left}))


def _langchain_items(message: Any) -> _Found:
    """Splits OpenAI's reasoning off a LangChain message, and removes the ids that tie the other blocks to it."""
    provider = _provider(message)
    if provider not in ("openai", "azure") or "__openai_function_call_ids__" in message.additional_kwargs:
        return None
    if str(message.id).startswith("msg_"):  # old versions of LangChain send this id
        return None
    found = _parts(message.content, lambda part: part.get("type") == "reasoning")
    if found is None or found[0] is None:
        return found
    if any(isinstance(part, dict) and part.get("type") not in _ID_OPTIONAL for part in found[0]):
        return None
    return message.model_copy(update={"content": [_drop_item_id(part) for part in found[0]]}), found[1]


def _drop_item_id(part: Any) -> Any:
    """A LangChain block without the id of its item; a `tool_call` has that in its extras, and the call's id as `id`."""
    if not isinstance(part, dict):
        return part
    if part.get("type") == "tool_call":
        extras = {k: v for k, v in (part.get("extras") or {}).items() if k != "item_id"}
        return {**part, "extras": extras} if "extras" in part else part
    return {k: v for k, v in part.items() if k != "id"}


def _langchain_fields(message: Any) -> _Found:
    if _provider(message) in (None, "openai", "azure", "anthropic"):
        return None
    found = _fields(message.additional_kwargs)
    if found is None:
        return None
    return (message.model_copy(update={"additional_kwargs": found[0]}) if message.content else None), found[1]


def _provider(message: Any) -> str | None:
    """The provider that LangChain notes in an AI message ("" if it notes none); None for other messages."""
    if getattr(message, "type", None) not in ("ai", "AIMessageChunk"):
        return None
    named = message.response_metadata.get("model_provider")
    return named if isinstance(named, str) else ""
