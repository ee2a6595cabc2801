"""Anthropic messages, as JSON. See `base.py` for what an API has to say.

Signed thinking is never touched: an answer goes back to the provider with the blocks it came with, in their order.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from compressor.providers.base import HiddenRounds, Json, ModelTurn, StreamFilter, sum_usage

_GROWS = {
    "text_delta": "text",
    "thinking_delta": "thinking",
    "signature_delta": "signature",
    "input_json_delta": "partial_json",
}


class AnthropicMessagesApi:
    """`POST /v1/messages`."""

    dialect = "anthropic"

    def supports(self, body: Json) -> bool:
        return bool(isinstance(body.get("messages"), list) and body["messages"])

    def history(self, body: Json) -> list[Json]:
        return list(body["messages"])

    def system(self, body: Json) -> list[Json]:
        return [{"role": "system", "content": body["system"]}] if body.get("system") else []

    def build_request(self, body: Json, messages: Sequence[Json], schema: Json | None) -> Json:
        result = {**body, "messages": list(messages)}
        if schema is not None:
            result["tools"] = [schema, *(body.get("tools") or ())]
        return result

    def build_original_request(self, body: Json, turn: ModelTurn) -> list[Json]:
        return turn.items

    def without_forced_tool(self, body: Json) -> Json:
        return body | {"tool_choice": {"type": "none"}} if len(body.get("tools") or ()) == 1 else body

    def turn(self, response: Json, tool: str) -> ModelTurn:
        blocks = [_sendable(block) for block in response.get("content") or ()]
        calls = [block for block in blocks if block.get("type") == "tool_use"]
        asked = [(call["id"], json.dumps(call.get("input") or {})) for call in calls if call.get("name") == tool]
        own = [call["id"] for call in calls if call.get("name") != tool]
        return ModelTurn([{"role": "assistant", "content": blocks}], asked, own, response.get("usage"))

    def results(self, asked: Sequence[tuple[str, str]], texts: Sequence[str]) -> list[Json]:
        pairs = zip(asked, texts, strict=True)
        blocks = [{"type": "tool_result", "tool_use_id": call_id, "content": text} for (call_id, _), text in pairs]
        return [{"role": "user", "content": blocks}]

    def visible_turn(self, response: Json, inner: HiddenRounds, tool: str) -> Json:
        earlier = [block for turn in inner.turns[:-1] for block in _content(turn) if not _ours(block, tool)]
        content = [block for block in response.get("content") or () if not _ours(block, tool)]
        result = {**response, "content": [*earlier, *content]}
        if inner.last.asked and not inner.last.own and result.get("stop_reason") == "tool_use":
            result["stop_reason"] = "end_turn"
        usage = sum_usage([turn.usage for turn in inner.turns])
        return result if usage is None else result | {"usage": usage}

    def with_hidden_rounds(self, rest: Sequence[Json], inner: HiddenRounds) -> list[Json]:
        first, after = dict(rest[0]), list(rest[1:])
        asked = {call_id for turn in inner.turns for call_id, _ in turn.asked}
        given = first.get("content")
        blocks = list(given) if isinstance(given, list) else [{"type": "text", "text": given or ""}]
        if first.get("role") != "assistant" or _calls(blocks) != inner.last.own:
            return list(rest)
        shown = [block for turn in inner.turns[:-1] for block in _content(turn) if block.get("id") not in asked]
        if shown and [_said(block) for block in blocks[: len(shown)]] == [_said(block) for block in shown]:
            blocks = blocks[len(shown) :]  # what earlier rounds said is in `rounds`
            first["content"] = blocks
        if inner.answers:
            asks = [block for block in _content(inner.last) if block.get("id") in asked]
            at = next(n for n, block in enumerate(blocks) if block.get("type") == "tool_use")
            first["content"] = [*blocks[:at], *asks, *blocks[at:]]
            results = self.results(inner.last.asked, inner.answers)[0]["content"]
            if not after or after[0].get("role") != "user":
                return list(rest)
            theirs = after[0]["content"]
            more = theirs if isinstance(theirs, list) else [{"type": "text", "text": theirs}]
            after[0] = {**after[0], "content": [*results, *more]}
        if not first["content"]:
            return list(rest)
        return [*inner.rounds, first, *after]

    def filter(self, tool: str) -> StreamFilter:
        return _Events(tool)


def _content(turn: ModelTurn) -> list[Json]:
    content: list[Json] = turn.items[0]["content"]
    return content


def _ours(block: Json, tool: str) -> bool:
    return block.get("type") == "tool_use" and block.get("name") == tool


def _calls(blocks: Sequence[Json]) -> list[Any]:
    return [block.get("id") for block in blocks if block.get("type") == "tool_use"]


def _said(block: Json) -> Any:
    return block.get("type"), block.get("text") or block.get("thinking") or block.get("data") or block.get("id")


def _sendable(block: Json) -> Json:
    return {key: value for key, value in block.items() if value is not None}


class _Events:
    """The events of several calls as one message: begun once, ended once, its blocks numbered on, its usage summed."""

    def __init__(self, tool: str) -> None:
        self._tool = tool
        self._sent = 0  # blocks the caller has got so far
        self._spent: list[Json | None] = []
        self._held: list[Json] = []
        self._begin()

    def _begin(self) -> None:
        self._blocks: dict[int, Json] = {}
        self._places: dict[int, int | None] = {}  # None: an expand call, which the caller does not get
        self._usage: Json = {}

    def feed(self, event: Json) -> list[Json]:
        kind = event.get("type")
        if kind == "message_start":
            self._held = []
            self._usage = dict(event["message"].get("usage") or {})
            return [] if self._spent else [event]
        if kind in ("content_block_start", "content_block_delta", "content_block_stop"):
            return self._block(event)
        if kind == "message_delta":
            self._usage |= {k: v for k, v in (event.get("usage") or {}).items() if v is not None}
            if self._spent:
                event = event | {"usage": sum_usage([*self._spent, self._usage])}
        if kind in ("message_delta", "message_stop") and None in self._places.values():
            self._held.append(event)
            return []
        return [event]

    def turn(self) -> ModelTurn:
        response = {"content": [_closed(self._blocks[i]) for i in sorted(self._blocks)], "usage": self._usage or None}
        turn = AnthropicMessagesApi().turn(response, self._tool)
        self._spent.append(turn.usage)
        self._stopped = bool(turn.asked) and not turn.own
        self._begin()
        return turn

    def finish(self) -> list[Json]:
        held, self._held = self._held, []
        for i, event in enumerate(held):
            delta = event.get("delta") or {}
            if self._stopped and delta.get("stop_reason") == "tool_use":
                held[i] = event | {"delta": delta | {"stop_reason": "end_turn"}}
        return held

    def _block(self, event: Json) -> list[Json]:
        index = event["index"]
        if event["type"] == "content_block_start":
            self._blocks[index] = dict(event["content_block"])
            ours = _ours(event["content_block"], self._tool)
            self._places[index] = None if ours else self._sent
            self._sent += not ours
        elif event["type"] == "content_block_delta" and index in self._blocks:
            _grow(self._blocks[index], event["delta"])
        place = self._places.get(index)
        if place is None:
            return []
        return [event if place == index else event | {"index": place}]


def _grow(block: Json, delta: Json) -> None:
    kind = delta.get("type")
    if kind == "citations_delta":
        block["citations"] = [*(block.get("citations") or ()), delta["citation"]]
    elif kind in _GROWS:
        key = _GROWS[kind]
        block[key] = (block.get(key) or "") + delta[key]


def _closed(block: Json) -> Json:
    """A block whose stream is over: the pieces of a call's input become the input."""
    block = dict(block)
    pieces = block.pop("partial_json", "")
    if pieces:
        try:
            block["input"] = json.loads(pieces)
        except ValueError:  # the model's own fault, or it was cut off; the expand tool answers that it wants a ref
            block["input"] = {}
    return block
