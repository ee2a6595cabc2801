"""Implements `ProviderApi` for Anthropic messages.

Signed thinking is never changed: an answer goes back to the provider with its own blocks, in their order.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any

from compressor.providers.base import (
    ContextCall,
    HiddenRounds,
    Json,
    ModelTurn,
    StreamFilter,
    has_only_tools,
    visible_usage,
)

_DELTA_FIELDS = {
    "text_delta": "text",
    "thinking_delta": "thinking",
    "signature_delta": "signature",
    "input_json_delta": "partial_json",
}


class AnthropicMessagesApi:
    """Reads and writes `POST /v1/messages`."""

    dialect = "anthropic"

    def supports(self, body: Json) -> bool:
        """Returns whether the body holds the whole history and asks for one answer."""
        return bool(isinstance(body.get("messages"), list) and body["messages"])

    def read_messages(self, body: Json) -> list[Json]:
        """Returns the caller's messages."""
        return list(body["messages"])

    def read_system(self, body: Json) -> list[Json]:
        """Returns the body's `system` as a list of one message, or []."""
        return [{"role": "system", "content": body["system"]}] if body.get("system") else []

    def with_system(self, body: Json, content: Any) -> Json:
        """Returns a copy of the body with another system prompt."""
        return {**body, "system": content}

    def build_request(self, body: Json, messages: Sequence[Json], schemas: Sequence[Json]) -> Json:
        """Returns a copy of the body with these messages and the tools of `schemas`."""
        result = {**body, "messages": list(messages)}
        if schemas:
            result["tools"] = [*schemas, *(body.get("tools") or ())]
        return result

    def items_to_resend(self, body: Json, turn: ModelTurn) -> list[Json]:
        """Returns the items of a turn for the next request."""
        return turn.items

    def without_forced_tool(self, body: Json, tools: Collection[str]) -> Json:
        """Returns a copy that forbids tool calls, if there are no other tools than `tools`."""
        return body | {"tool_choice": {"type": "none"}} if has_only_tools(body, tools) else body

    def parse_turn(self, response: Json, tools: Collection[str]) -> ModelTurn:
        """Reads a whole response."""
        blocks = [_without_nulls(block) for block in response.get("content") or ()]
        calls = [block for block in blocks if block.get("type") == "tool_use"]
        context_calls = [
            ContextCall(call["id"], call["name"], json.dumps(call.get("input") or {}))
            for call in calls
            if call.get("name") in tools
        ]
        caller_ids = [call["id"] for call in calls if call.get("name") not in tools]
        return ModelTurn([{"role": "assistant", "content": blocks}], context_calls, caller_ids, response.get("usage"))

    def build_context_results(self, calls: Sequence[ContextCall], texts: Sequence[str]) -> list[Json]:
        """Returns the answers to context calls as messages."""
        pairs = zip(calls, texts, strict=True)
        blocks = [{"type": "tool_result", "tool_use_id": call_id, "content": text} for (call_id, _, _), text in pairs]
        return [{"role": "user", "content": blocks}]

    def visible_turn(self, response: Json, hidden: HiddenRounds, tools: Collection[str]) -> Json:
        """Returns the last response as the caller sees it."""
        earlier = [
            block for turn in hidden.turns[:-1] for block in _content(turn) if not _is_context_call(block, tools)
        ]
        content = [block for block in response.get("content") or () if not _is_context_call(block, tools)]
        result = {**response, "content": [*earlier, *content]}
        if hidden.last.context_calls and not hidden.last.caller_call_ids and result.get("stop_reason") == "tool_use":
            result["stop_reason"] = "end_turn"
        usage = visible_usage([turn.usage for turn in hidden.turns])
        return result if usage is None else result | {"usage": usage}

    def with_hidden_rounds(self, rest: Sequence[Json], hidden: HiddenRounds) -> list[Json]:
        """Puts the hidden rounds back into the end of the caller's history."""
        first, after = dict(rest[0]), list(rest[1:])
        context_ids = {call_id for turn in hidden.turns for call_id, _, _ in turn.context_calls}
        content = first.get("content")
        blocks = list(content) if isinstance(content, list) else [{"type": "text", "text": content or ""}]
        if first.get("role") != "assistant" or _call_ids(blocks) != hidden.last.caller_call_ids:
            return list(rest)
        earlier = [
            block for turn in hidden.turns[:-1] for block in _content(turn) if block.get("id") not in context_ids
        ]
        if earlier and [_identity(block) for block in blocks[: len(earlier)]] == [
            _identity(block) for block in earlier
        ]:
            blocks = blocks[len(earlier) :]  # `hidden.items` holds the blocks of the earlier rounds
            first["content"] = blocks
        if hidden.context_answers:
            context_blocks = [block for block in _content(hidden.last) if block.get("id") in context_ids]
            position = next(n for n, block in enumerate(blocks) if block.get("type") == "tool_use")
            first["content"] = [*blocks[:position], *context_blocks, *blocks[position:]]
            results = self.build_context_results(hidden.last.context_calls, hidden.context_answers)[0]["content"]
            if not after or after[0].get("role") != "user":
                return list(rest)
            user_content = after[0]["content"]
            user_blocks = user_content if isinstance(user_content, list) else [{"type": "text", "text": user_content}]
            after[0] = {**after[0], "content": [*results, *user_blocks]}
        if not first["content"]:
            return list(rest)
        return [*hidden.items, first, *after]

    def context_round(self, hidden: HiddenRounds) -> list[Json]:
        """Returns the last turn's context calls and their answers as messages of their own."""
        ids = {call_id for call_id, _, _ in hidden.last.context_calls}
        thinking = ("thinking", "redacted_thinking")
        blocks = [b for b in _content(hidden.last) if b.get("type") in thinking or b.get("id") in ids]
        results = self.build_context_results(hidden.last.context_calls, hidden.context_answers)
        return [*hidden.items, {"role": "assistant", "content": blocks}, *results]

    def make_stream_filter(self, tools: Collection[str]) -> StreamFilter:
        """Returns a new filter for the streams of one call."""
        return _AnthropicStreamFilter(tools)


def _content(turn: ModelTurn) -> list[Json]:
    content: list[Json] = turn.items[0]["content"]
    return content


def _is_context_call(block: Json, tools: Collection[str]) -> bool:
    return block.get("type") == "tool_use" and block.get("name") in tools


def _call_ids(blocks: Sequence[Json]) -> list[Any]:
    return [block.get("id") for block in blocks if block.get("type") == "tool_use"]


def _identity(block: Json) -> Any:
    return block.get("type"), block.get("text") or block.get("thinking") or block.get("data") or block.get("id")


def _without_nulls(block: Json) -> Json:
    return {key: value for key, value in block.items() if value is not None}


class _AnthropicStreamFilter:
    """Joins the events of several requests into one message, with renumbered blocks and summed usage."""

    def __init__(self, tools: Collection[str]) -> None:
        self._tools = tools
        self._sent_count = 0  # blocks that the caller has received
        self._usages: list[Json | None] = []
        self._held: list[Json] = []
        self._reset()

    def _reset(self) -> None:
        self._blocks: dict[int, Json] = {}
        self._sent_indexes: dict[int, int | None] = {}  # None: a context call, which the caller does not receive
        self._usage: Json = {}

    def feed(self, event: Json) -> list[Json]:
        kind = event.get("type")
        if kind == "message_start":
            self._held = []
            self._usage = dict(event["message"].get("usage") or {})
            return [] if self._usages else [event]
        if kind in ("content_block_start", "content_block_delta", "content_block_stop"):
            return self._feed_block(event)
        if kind == "message_delta":
            self._usage |= {k: v for k, v in (event.get("usage") or {}).items() if v is not None}
            if self._usages:
                event = event | {"usage": visible_usage([*self._usages, self._usage])}
        if kind in ("message_delta", "message_stop") and None in self._sent_indexes.values():
            self._held.append(event)
            return []
        return [event]

    def end_call(self) -> ModelTurn:
        response = {
            "content": [_finish_block(self._blocks[i]) for i in sorted(self._blocks)],
            "usage": self._usage or None,
        }
        turn = AnthropicMessagesApi().parse_turn(response, self._tools)
        self._usages.append(turn.usage)
        self._only_context_calls = bool(turn.context_calls) and not turn.caller_call_ids
        self._reset()
        return turn

    def flush(self) -> list[Json]:
        held, self._held = self._held, []
        for i, event in enumerate(held):
            delta = event.get("delta") or {}
            if self._only_context_calls and delta.get("stop_reason") == "tool_use":
                held[i] = event | {"delta": delta | {"stop_reason": "end_turn"}}
        return held

    def _feed_block(self, event: Json) -> list[Json]:
        index = event["index"]
        if event["type"] == "content_block_start":
            self._blocks[index] = dict(event["content_block"])
            is_context_call = _is_context_call(event["content_block"], self._tools)
            self._sent_indexes[index] = None if is_context_call else self._sent_count
            self._sent_count += not is_context_call
        elif event["type"] == "content_block_delta" and index in self._blocks:
            _apply_delta(self._blocks[index], event["delta"])
        sent_index = self._sent_indexes.get(index)
        if sent_index is None:
            return []
        return [event if sent_index == index else event | {"index": sent_index}]


def _apply_delta(block: Json, delta: Json) -> None:
    kind = delta.get("type")
    if kind == "citations_delta":
        block["citations"] = [*(block.get("citations") or ()), delta["citation"]]
    elif kind in _DELTA_FIELDS:
        key = _DELTA_FIELDS[kind]
        block[key] = (block.get(key) or "") + delta[key]


def _finish_block(block: Json) -> Json:
    """Returns a block whose stream is over, with the pieces of a call's input parsed."""
    block = dict(block)
    pieces = block.pop("partial_json", "")
    if pieces:
        try:
            block["input"] = json.loads(pieces)
        except ValueError:  # invalid or cut off by the model; the tool answers what it needs
            block["input"] = {}
    return block
