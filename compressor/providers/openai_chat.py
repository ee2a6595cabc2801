"""Implements `ProviderApi` for OpenAI chat completions."""

from __future__ import annotations

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

_SEPARATOR = "\n\n"  # between the texts of several rounds, which become one message


class OpenAIChatApi:
    """Reads and writes `POST /chat/completions`."""

    dialect = "openai_chat"

    def supports(self, body: Json) -> bool:
        """Returns whether the body holds the whole history and asks for one answer."""
        return bool(isinstance(body.get("messages"), list) and body["messages"] and body.get("n") in (None, 1))

    def read_messages(self, body: Json) -> list[Json]:
        """Returns the caller's messages."""
        return list(body["messages"])

    def read_system(self, body: Json) -> list[Json]:
        """Returns []: this API keeps the system prompt among the messages."""
        return []

    def with_system(self, body: Json, content: Any) -> Json:
        """Returns the body: this API keeps the system prompt among the messages."""
        return body

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
        return body | {"tool_choice": "none"} if has_only_tools(body, tools) else body

    def parse_turn(self, response: Json, tools: Collection[str]) -> ModelTurn:
        """Reads a whole response."""
        message = response["choices"][0]["message"]
        calls = message.get("tool_calls") or []
        context_calls = _context_calls(calls, tools)
        caller_ids = [c["id"] for c in calls if _tool_name(c) not in tools]
        return ModelTurn([_request_message(message)], context_calls, caller_ids, response.get("usage"))

    def build_context_results(self, calls: Sequence[ContextCall], texts: Sequence[str]) -> list[Json]:
        """Returns the answers to context calls as messages."""
        pairs = zip(calls, texts, strict=True)
        return [{"role": "tool", "tool_call_id": call_id, "content": text} for (call_id, _, _), text in pairs]

    def visible_turn(self, response: Json, hidden: HiddenRounds, tools: Collection[str]) -> Json:
        """Returns the last response as the caller sees it."""
        choice = dict(response["choices"][0])
        message = dict(choice["message"])
        message["content"] = _join_texts([_text(turn) for turn in hidden.turns]) or message.get("content")
        calls = [call for call in message.get("tool_calls") or () if _tool_name(call) not in tools]
        message.pop("tool_calls", None)
        if calls:
            message["tool_calls"] = calls
        elif hidden.last.context_calls:
            choice["finish_reason"] = "stop"
            message["content"] = message["content"] or ""  # providers reject a message without content and calls
        choice["message"] = message
        result = {**response, "choices": [choice, *response["choices"][1:]]}
        usage = visible_usage([turn.usage for turn in hidden.turns])
        return result if usage is None else result | {"usage": usage}

    def with_hidden_rounds(self, rest: Sequence[Json], hidden: HiddenRounds) -> list[Json]:
        """Puts the hidden rounds back into the end of the caller's history."""
        first = dict(rest[0])
        calls = list(first.get("tool_calls") or ())
        if first.get("role") != "assistant" or [call.get("id") for call in calls] != hidden.last.caller_call_ids:
            return list(rest)
        last_message = hidden.last.items[0]
        if len(hidden.turns) > 1 and first.get("content") == _join_texts([_text(turn) for turn in hidden.turns]):
            first["content"] = last_message.get("content")
        answers: list[Json] = []
        if hidden.context_answers:
            caller_calls = {call["id"]: call for call in calls}
            first["tool_calls"] = [caller_calls.get(call["id"], call) for call in last_message["tool_calls"]]
            answers = self.build_context_results(hidden.last.context_calls, hidden.context_answers)
        return [*hidden.items, first, *answers, *rest[1:]]

    def context_round(self, hidden: HiddenRounds) -> list[Json]:
        """Returns the last turn's context calls and their answers as messages of their own."""
        ids = {call_id for call_id, _, _ in hidden.last.context_calls}
        message = hidden.last.items[0]
        calls = [call for call in message["tool_calls"] if call["id"] in ids]
        own = {key: value for key, value in message.items() if key.startswith("reasoning")}
        return [
            *hidden.items,
            {"role": "assistant", "content": None, **own, "tool_calls": calls},
            *self.build_context_results(hidden.last.context_calls, hidden.context_answers),
        ]

    def make_stream_filter(self, tools: Collection[str]) -> StreamFilter:
        """Returns a new filter for the streams of one call."""
        return _ChatStreamFilter(tools)


def _tool_name(call: Json) -> str | None:
    name = (call.get("function") or {}).get("name")
    return name if isinstance(name, str) else None


def _context_calls(calls: Sequence[Json], tools: Collection[str]) -> list[ContextCall]:
    return [
        ContextCall(call["id"], name, call["function"].get("arguments") or "")
        for call in calls
        if (name := _tool_name(call)) is not None and name in tools
    ]


def _text(turn: ModelTurn) -> str:
    content = turn.items[0].get("content")
    return content if isinstance(content, str) else ""


def _join_texts(texts: Sequence[str]) -> str:
    whole = ""
    for text in texts:
        if text:
            whole = whole + _separator(whole) + text
    return whole


def _separator(before: str) -> str:
    return _SEPARATOR if before and not before[-1].isspace() else ""


def _request_message(message: Json) -> Json:
    """Returns a response's message for a request, without empty fields and fields that only responses have."""
    fields = ("role", "content", "refusal", "tool_calls", "audio")
    kept = {k: v for k, v in message.items() if (k in fields or k.startswith("reasoning")) and v not in (None, [])}
    if "audio" in kept:
        kept["audio"] = {"id": kept["audio"].get("id")}
    if kept.get("tool_calls") and not kept.get("content"):
        kept["content"] = None  # a stream has an empty text where a whole answer has null
    return {"role": "assistant", "content": None} | kept


class _ChatStreamFilter:
    """Joins the chunks of several requests into one stream with the first id and time, one role and one usage."""

    def __init__(self, tools: Collection[str]) -> None:
        self._tools = tools
        self._head: Json = {}
        self._sent_text = ""  # the text that the caller has received
        self._sent_calls = 0  # tool calls that the caller has received
        self._usages: list[Json | None] = []
        self._request_count = 0
        self._reset()

    def _reset(self) -> None:
        self._message: Json = {}
        self._calls: dict[int, Json] = {}
        self._pending: dict[int, list[Json]] = {}  # pieces of calls whose tool name is not complete yet
        self._sent_indexes: dict[int, int] = {}  # the caller's number of each of its own calls
        self._held: list[Json] = []
        self._usage: Json | None = None
        self._is_first_delta = True

    def feed(self, event: Json) -> list[Json]:
        if not self._head:
            self._head = {key: event[key] for key in ("id", "created") if key in event}
        changed = dict(event)
        if self._request_count:
            changed |= self._head
        if event.get("usage") is not None:
            self._usage = event["usage"]
            changed["usage"] = visible_usage([*self._usages, self._usage])
        choices = event.get("choices") or []
        is_last = not choices
        if choices:
            choice = dict(choices[0])
            choice["delta"] = self._feed_delta(choice.get("delta") or {})
            is_last = choice.get("finish_reason") is not None
            if is_last and (late := self._release_late_calls()):
                choice["delta"]["tool_calls"] = [*(choice["delta"].get("tool_calls") or ()), *late]
            if not is_last and not choice["delta"] and choices[0].get("delta") and event.get("usage") is None:
                return []
            changed["choices"] = [choice]
        if self._has_context_call() and is_last:
            self._held.append(changed)
            return []
        return [event if changed == event else changed]

    def end_call(self) -> ModelTurn:
        calls = [self._calls[i] for i in sorted(self._calls)]
        message = _request_message(self._message | {"tool_calls": calls})
        context_calls = _context_calls(calls, self._tools)
        caller_ids = [c["id"] for c in calls if _tool_name(c) not in self._tools]
        turn = ModelTurn([message], context_calls, caller_ids, self._usage)
        held = self._held
        self._usages.append(self._usage)
        self._request_count += 1
        self._reset()
        self._held = held
        return turn

    def flush(self) -> list[Json]:
        held, self._held = self._held, []
        for chunk in held:
            for choice in chunk.get("choices") or ():
                if choice.get("finish_reason") == "tool_calls" and not self._sent_calls:
                    choice["finish_reason"] = "stop"
        return held

    def _has_context_call(self) -> bool:
        return any(_tool_name(call) in self._tools for call in self._calls.values())

    def _feed_delta(self, delta: Json) -> Json:
        """Adds a piece to the message and returns the part of it that the caller receives."""
        if self._is_first_delta:
            self._is_first_delta = False
            self._held = []
            if self._request_count:
                delta = {k: v for k, v in delta.items() if k != "role" and not (k == "content" and v == "")}
        shown = {key: value for key, value in delta.items() if key != "tool_calls"}
        for key, value in shown.items():
            before = self._message.get(key)
            joins = isinstance(before, str) and isinstance(value, str) and key != "role"
            self._message[key] = before + value if joins else value
        text = delta.get("content")
        if isinstance(text, str) and text:
            if self._request_count and self._message["content"] == text:
                shown["content"] = _separator(self._sent_text) + text
            self._sent_text += shown["content"]
        calls = [piece for given in delta.get("tool_calls") or () for piece in self._feed_call(given)]
        return shown | {"tool_calls": calls} if calls else shown

    def _feed_call(self, piece: Json) -> list[Json]:
        """Adds a piece to a call; returns it and the pending pieces once the call is known to be the caller's."""
        index = piece.get("index", 0)
        call = self._calls.setdefault(index, {"id": "", "type": "function", "function": {"name": "", "arguments": ""}})
        call["id"] = piece.get("id") or call["id"]
        call["type"] = piece.get("type") or call["type"]
        for key, value in (piece.get("function") or {}).items():
            if isinstance(value, str):
                call["function"][key] = call["function"].get(key, "") + value
        if call["type"] != "function" and piece.get(call["type"]):
            caller_calls = call.setdefault(call["type"], {})
            for key, value in piece[call["type"]].items():
                caller_calls[key] = caller_calls.get(key, "") + value if isinstance(value, str) else value
            call.pop("function", None)
        if index in self._sent_indexes:
            return [{**piece, "index": self._sent_indexes[index]}]
        self._pending.setdefault(index, []).append(piece)
        name = _tool_name(call)
        may_be_context_call = name is not None and not call["function"]["arguments"] and self._may_become_ours(name)
        return [] if name in self._tools or may_be_context_call else self._release(index)

    def _may_become_ours(self, name: str) -> bool:
        return any(tool.startswith(name) for tool in self._tools)

    def _release(self, index: int) -> list[Json]:
        self._sent_indexes[index] = self._sent_calls
        self._sent_calls += 1
        return [{**piece, "index": self._sent_indexes[index]} for piece in self._pending.pop(index)]

    def _release_late_calls(self) -> list[Json]:
        """Returns the caller's calls whose names begin like those of our tools, which is known only at the end."""
        late = [index for index in self._pending if _tool_name(self._calls[index]) not in self._tools]
        return [piece for index in late for piece in self._release(index)]
