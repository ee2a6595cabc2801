"""Leaves whole blocks of provider-signed reasoning out of finished turns, where the provider allows that.

Nothing is ever changed inside a block, and the current turn is not touched: a turn ends where a user speaks after the
agent has answered, with all its calls answered; a tool loop is one turn, however long.

Anthropic: `thinking` and `redacted_thinking` of the current turn must come back whole and in order; of earlier turns
    they may be left out (https://platform.claude.com/docs/en/build-with-claude/extended-thinking, "Preserving thinking
    blocks"; the API's own `clear_thinking_20251015` does it, .../context-editing). Models with preserved thinking check
    blocks against all that stood before them and against their neighbours: "It also fails if a thinking block between
    others was left out or moved" (.../preserved-thinking/prefix-checks). So the oldest go first and without a gap, and
    who edits a message must leave no signed block behind it: see `first_signed_index`.
OpenAI Responses: the model uses reasoning within a turn and discards it after
    (https://cookbook.openai.com/examples/responses_api/reasoning_items); of earlier turns the API takes items without
    it only if they have no `id` that ties them to it ("Item 'msg_…' was provided without its required 'reasoning'
    item", github.com/continuedev/continue/issues/11994). So their ids go with it; reasoning in a turn with an item
    that cannot lose its id (a search, a computer call, a reference) stays.
OpenAI-compatible (`reasoning_content`, `reasoning`, `reasoning_details`): DeepSeek ignores it from turns without a
    tool call and refuses requests without that of turns with one, "in all subsequent requests"
    (https://api-docs.deepseek.com/guides/thinking_mode); users report that once there are tools, it asks for all of
    it. Others have a preserved thinking of their own. So it goes only where nothing was called at all.
LangChain: messages that carry such blocks, by the rules of the provider that made them; Google's stay as they are.

No budget, store or score: whoever calls keeps what was left out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from compressor.context.formats.base import MessageFormat
from compressor.context.formats.json_values import to_plain_dict
from compressor.context.model import Turn

Removed = tuple[int, str]  # index of the message it stood in, its text (JSON where it has no readable one)

_THINKING = ("thinking", "redacted_thinking")
_FIELDS = ("reasoning_content", "reasoning", "reasoning_details")
#: Items (Responses) and blocks (LangChain) that the API also takes without an id.
_LOSE_ID = ("message", "function_call", "custom_tool_call", "text", "output_text", "refusal", "tool_call")


def strip_finished_reasoning(messages: Sequence[Any], dialect: MessageFormat) -> tuple[list[Any], list[Removed]]:
    """The messages without the reasoning of finished turns that their provider does not want back, and what was left
    out, with indices into the messages given. A message from which nothing goes is the same object; reasoning that is
    an item of its own goes with its message, and a message that had nothing else stays as it is.

    Raises ContextError for what the dialect does not take.
    """
    turns = dialect.parse(messages).turns
    end = _finished(turns)
    out, removed = list(messages), list[Removed]()
    if dialect.name == "openai_responses":
        return _without_items(out, end)
    if dialect.name == "anthropic":
        _oldest(out, end, _anthropic, removed)
    elif dialect.name == "openai_chat":
        if not _called(turns):
            _each(out, end, _chat, removed)
    elif dialect.name == "langchain":
        _oldest(out, end, _langchain_signed, removed)
        _each(out, end, _langchain_items, removed)
        if not _called(turns):
            _each(out, end, _langchain_fields, removed)
        removed.sort(key=lambda entry: entry[0])
    return out, removed


def first_signed_index(messages: Sequence[Any], dialect: MessageFormat) -> int | None:
    """Index of the first message with reasoning that Anthropic signed, None if there is none. On models with preserved
    thinking, nothing before it may change: the API would refuse the request, or drop the reasoning."""
    split = {"anthropic": _anthropic, "langchain": _langchain_signed}.get(dialect.name)
    for index, message in enumerate(messages):
        if split is not None and split(message) is not None:
            return index
    return None


def _finished(turns: Sequence[Turn]) -> int:
    """How many messages at the start belong to finished turns: those before the last word of a user that is not part
    of a tool round. (A user's word right after results goes to the provider in one message with them.)"""
    end, after_results = 0, False
    waiting: set[str] = set()
    for turn in turns:
        waiting |= set(turn.call_ids)
        waiting -= set(turn.result_call_ids)
        if turn.role == "assistant":
            after_results = False
        elif turn.role == "tool" or turn.result_call_ids:
            after_results = True
        elif turn.role == "user" and not after_results and not waiting:
            end = turn.index
    return end


def _called(turns: Sequence[Turn]) -> bool:
    """Whether any tool was called."""
    return any(t.call_ids or t.role == "tool" or any(s.kind == "tool_call" for s in t.slots) for t in turns)


#: What a message is without its reasoning (None if nothing would be left), and the reasoning; None if it has none.
_Found = tuple[Any | None, list[str]] | None
_Split = Callable[[Any], _Found]


def _each(out: list[Any], end: int, split: _Split, removed: list[Removed]) -> None:
    for index in range(end):
        found = split(out[index])
        if found is not None and found[0] is not None:
            out[index] = found[0]
            removed.extend((index, text) for text in found[1])


def _oldest(out: list[Any], end: int, split: _Split, removed: list[Removed]) -> None:
    """Like `_each`, up to the first message that would be empty: what goes leaves no gap between what stays."""
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
    found = _parts(item.get("content"), lambda part: part.get("type") in _THINKING)
    return _with(found, lambda left: {**item, "content": left})


def _with(found: _Found, make: Callable[[Any], Any]) -> _Found:
    """What was found, with what is left put into a message."""
    return found if found is None or found[0] is None else (make(found[0]), found[1])


def _parts(content: Any, goes: Callable[[dict[str, Any]], bool]) -> _Found:
    """Content parts without those that go (None if no more than blanks would be left), and their texts."""
    if not isinstance(content, (list, tuple)):
        return None
    gone = [part for value in content if (part := to_plain_dict(value)) is not None and goes(part)]
    if not gone:
        return None
    left = [value for value in content if (part := to_plain_dict(value)) is None or not goes(part)]
    return (left if any(map(_says, left)) else None), [_text(part) for part in gone]


def _says(value: Any) -> bool:
    """Whether a content part is more than blank text."""
    part = to_plain_dict(value)
    text = value if part is None else part.get("text") if part.get("type") in ("text", "output_text") else "…"
    return not isinstance(text, str) or bool(text.strip())


def _text(part: dict[str, Any]) -> str:
    """Reasoning as text if it has one, else as JSON."""
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
    """A dict without its fields of reasoning, and what they held. None also where Anthropic's blocks are beside it."""
    held = [key for key in _FIELDS if item.get(key)]
    if not held or item.get("thinking_blocks"):
        return None
    texts = dict.fromkeys(v if isinstance(v := item[key], str) else json.dumps(v, default=str) for key in held)
    return {key: value for key, value in item.items() if key not in _FIELDS}, list(texts)


def _without_items(items: list[Any], end: int) -> tuple[list[Any], list[Removed]]:
    """Responses: the reasoning items of whole turns, and the ids of what they led to."""
    held = [to_plain_dict(item) or {} for item in items]
    removed: list[Removed] = []
    bare: dict[int, dict[str, Any]] = {}
    start = 0
    for stop in range(end + 1):
        if stop < end and held[stop].get("role") != "user":
            continue
        turn = range(start, stop)
        start = stop + 1
        reasons = [i for i in turn if held[i].get("type") == "reasoning"]
        tied = [i for i in turn if i not in reasons and held[i].get("id") and _is_tied(held[i])]
        if reasons and all(_kind(held[i]) in _LOSE_ID for i in tied):
            removed.extend((i, _text(held[i])) for i in reasons)
            bare.update((i, {k: v for k, v in held[i].items() if k != "id"}) for i in tied)
    gone = {i for i, _ in removed}
    return [bare.get(i, item) for i, item in enumerate(items) if i not in gone], removed


def _kind(item: dict[str, Any]) -> Any:
    return item.get("type") or ("message" if "role" in item else None)


def _is_tied(item: dict[str, Any]) -> bool:
    """Whether an item with an id may be one that reasoning led to: results and what the developer says are not."""
    return item.get("role", "assistant") == "assistant" and not str(item.get("type")).endswith("_output")


def _langchain_signed(message: Any) -> _Found:
    provider = _provider(message)
    if provider is None or provider.startswith("google"):  # which has blocks of the same type
        return None
    kinds = (*_THINKING, "reasoning") if provider == "anthropic" else _THINKING
    found = _parts(message.content, lambda part: part.get("type") in kinds)
    return _with(found, lambda left: message.model_copy(update={"content": left}))


def _langchain_items(message: Any) -> _Found:
    """OpenAI's reasoning in the content of a LangChain message, with the ids that tie the other blocks to it."""
    provider = _provider(message)
    if provider not in ("openai", "azure") or "__openai_function_call_ids__" in message.additional_kwargs:
        return None
    if str(message.id).startswith("msg_"):  # the form of old versions, which sends that id
        return None
    found = _parts(message.content, lambda part: part.get("type") == "reasoning")
    if found is None or found[0] is None:
        return found
    if any(isinstance(part, dict) and part.get("type") not in _LOSE_ID for part in found[0]):
        return None
    return message.model_copy(update={"content": [_loose(part) for part in found[0]]}), found[1]


def _loose(part: Any) -> Any:
    """A LangChain block without the id of the item it was; a `tool_call` has its call's as `id`, the item's beside."""
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
    """Who made a LangChain AI message, as LangChain notes it ("" where it does not); None for other messages."""
    if getattr(message, "type", None) not in ("ai", "AIMessageChunk"):
        return None
    named = message.response_metadata.get("model_provider")
    return named if isinstance(named, str) else ""
