"""Implements `ProviderApi` for OpenAI Responses.

A request whose history is stored by the provider (`previous_response_id`, `conversation`, a stored prompt) is sent
unchanged.
"""

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

_FINAL_EVENTS = ("response.completed", "response.incomplete", "response.failed")
_FIRST_EVENTS = ("response.queued", "response.created", "response.in_progress")
_HISTORY_ELSEWHERE = ("previous_response_id", "conversation", "prompt", "background", "context_management")


class OpenAIResponsesApi:
    """Reads and writes `POST /responses`."""

    dialect = "openai_responses"

    def supports(self, body: Json) -> bool:
        """Returns whether the body holds the whole history and asks for one answer."""
        return bool(isinstance(body.get("input"), (str, list)) and body["input"]) and not any(
            body.get(key) for key in _HISTORY_ELSEWHERE
        )

    def read_messages(self, body: Json) -> list[Json]:
        """Returns the caller's messages."""
        value = body["input"]
        return [{"role": "user", "content": value}] if isinstance(value, str) else list(value)

    def read_system(self, body: Json) -> list[Json]:
        """Returns the body's `instructions` as a list of one system message, or []."""
        return [{"role": "system", "content": body["instructions"]}] if body.get("instructions") else []

    def with_system(self, body: Json, content: Any) -> Json:
        """Returns a copy of the body with another system prompt."""
        return {**body, "instructions": content}

    def build_request(self, body: Json, messages: Sequence[Json], schemas: Sequence[Json]) -> Json:
        """Returns a copy of the body with these messages and the tools of `schemas`."""
        result = {**body, "input": list(messages)}
        if schemas:
            result["tools"] = [*schemas, *(body.get("tools") or ())]
        return result

    def items_to_resend(self, body: Json, turn: ModelTurn) -> list[Json]:
        """Returns the items of a turn for the next request."""
        if body.get("store") is not False:
            return turn.items
        return [  # the provider stores nothing: ids are unknown to it, and reasoning must be encrypted
            {key: value for key, value in item.items() if key != "id" or item.get("type") == "reasoning"}
            for item in turn.items
            if item.get("type") != "reasoning" or item.get("encrypted_content")
        ]

    def without_forced_tool(self, body: Json, tools: Collection[str]) -> Json:
        """Returns a copy that forbids tool calls, if there are no other tools than `tools`."""
        return body | {"tool_choice": "none"} if has_only_tools(body, tools) else body

    def parse_turn(self, response: Json, tools: Collection[str]) -> ModelTurn:
        """Reads a whole response."""
        items = response.get("output") or []
        context_calls = [
            ContextCall(i["call_id"], i["name"], i.get("arguments") or "") for i in items if _is_context_call(i, tools)
        ]
        call_ids = [i["call_id"] for i in items if i.get("call_id") and not _is_context_call(i, tools)]
        return ModelTurn(
            [_request_item(item) for item in items], context_calls, call_ids, response.get("usage"), response.get("id")
        )

    def build_context_results(self, calls: Sequence[ContextCall], texts: Sequence[str]) -> list[Json]:
        """Returns the answers to context calls as messages."""
        pairs = zip(calls, texts, strict=True)
        return [{"type": "function_call_output", "call_id": call_id, "output": text} for (call_id, _, _), text in pairs]

    def visible_turn(self, response: Json, hidden: HiddenRounds, tools: Collection[str]) -> Json:
        """Returns the last response as the caller sees it."""
        earlier = [item for turn in hidden.turns[:-1] for item in turn.items if not _is_context_call(item, tools)]
        output = [item for item in response.get("output") or () if not _is_context_call(item, tools)]
        result = {**response, "id": hidden.turns[0].id, "output": [*earlier, *output]}
        usage = visible_usage([turn.usage for turn in hidden.turns])
        return result if usage is None else result | {"usage": usage}

    def with_hidden_rounds(self, rest: Sequence[Json], hidden: HiddenRounds) -> list[Json]:
        """Puts the hidden rounds back into the end of the caller's history."""
        context_ids = {call_id for turn in hidden.turns for call_id, _, _ in turn.context_calls}
        earlier = [
            _identity(i) for turn in hidden.turns[:-1] for i in turn.items if i.get("call_id") not in context_ids
        ]
        remaining = list(rest)
        for identity in earlier:  # `hidden.items` holds these; a caller may have left reasoning out
            if remaining and _identity(remaining[0]) == identity:
                remaining.pop(0)
        only_context_calls = all(item.get("call_id") in context_ids for item in hidden.last.items)
        has_answer = only_context_calls or (bool(remaining) and remaining[0].get("role", "assistant") == "assistant")
        caller_ids = hidden.last.caller_call_ids
        if not has_answer or [i["call_id"] for i in remaining if _is_call(i)][: len(caller_ids)] != caller_ids:
            return list(rest)
        if hidden.context_answers:
            calls = [i for i in hidden.last.items if i.get("call_id") in context_ids]
            position = next(n for n, item in enumerate(remaining) if item.get("call_id") == caller_ids[0])
            remaining[position:position] = calls
            output_position = next((n for n, item in enumerate(remaining) if _is_output(item)), len(remaining))
            remaining[output_position:output_position] = self.build_context_results(
                hidden.last.context_calls, hidden.context_answers
            )
        return [*hidden.items, *remaining]

    def context_round(self, hidden: HiddenRounds) -> list[Json]:
        """Returns the last turn's context calls and their answers as items of their own."""
        ids = {call_id for call_id, _, _ in hidden.last.context_calls}
        calls = [i for i in hidden.last.items if i.get("call_id") in ids]
        return [*hidden.items, *calls, *self.build_context_results(hidden.last.context_calls, hidden.context_answers)]

    def make_stream_filter(self, tools: Collection[str]) -> StreamFilter:
        """Returns a new filter for the streams of one call."""
        return _ResponsesStreamFilter(tools)


def _is_context_call(item: Json, tools: Collection[str]) -> bool:
    return item.get("type") == "function_call" and item.get("name") in tools


def _is_call(item: Json) -> bool:
    return str(item.get("type", "")).endswith("_call") and isinstance(item.get("call_id"), str)


def _is_output(item: Json) -> bool:
    return str(item.get("type", "")).endswith("_call_output")


def _request_item(item: Json) -> Json:
    """Returns a response's item for a request."""
    return {key: value for key, value in item.items() if value is not None and key != "parsed_arguments"}


def _identity(item: Json) -> Any:
    """Returns the fields that identify an item, because a caller may have changed the others."""
    kind = item.get("type") or "message"
    if kind == "message":
        content = item.get("content")
        parts = [{"text": content}] if isinstance(content, str) else content or ()
        return kind, item.get("role"), [part.get("text") or part.get("refusal") for part in parts]
    return kind, item.get("call_id") or item.get("id") or item.get("encrypted_content")


class _ResponsesStreamFilter:
    """Joins the events of several requests into one stream with one start, one end and new item and event numbers.

    The final response has the id of the first one, because the SDK demands it. A later `previous_response_id` must
    name the last one instead (`ExpandResolver.with_latest_response_id`).
    """

    def __init__(self, tools: Collection[str]) -> None:
        self._tools = tools
        self._turns: list[ModelTurn] = []
        self._sent_indexes: dict[int, int | None] = {}  # None: a context call, which the caller does not receive
        self._sent_count = 0  # items that the caller has received
        self._sequence = 0
        self._held: list[Json] = []
        self._response: Json = {}
        self._items: list[Json] = []

    def feed(self, event: Json) -> list[Json]:
        kind = event.get("type")
        if self._turns:
            self._held = []
            if kind in _FIRST_EVENTS:
                return []
        if kind in _FINAL_EVENTS:
            self._response = event["response"]
            if any(sent_index is None for sent_index in self._sent_indexes.values()):
                self._held = [event]
                return []
            return [self._final_event(event)]
        if "output_index" not in event:
            return [self._renumber(event, {})]
        index = event["output_index"]
        if index not in self._sent_indexes:
            is_context_call = _is_context_call(event.get("item") or {}, self._tools)
            self._sent_indexes[index] = None if is_context_call else self._sent_count
            self._sent_count += not is_context_call
        if kind == "response.output_item.done":
            self._items.append(event["item"])
        sent_index = self._sent_indexes[index]
        return [] if sent_index is None else [self._renumber(event, {"output_index": sent_index})]

    def end_call(self) -> ModelTurn:
        api = OpenAIResponsesApi()
        response = {**self._response, "output": self._response.get("output") or self._items}
        turn = api.parse_turn(response, self._tools)
        self._turns.append(turn)
        self._sent_indexes, self._items = {}, []
        return turn

    def flush(self) -> list[Json]:
        held, self._held = self._held, []
        turns = self._turns
        self._turns = turns[:-1]
        return [self._final_event(event) for event in held]

    def _final_event(self, event: Json) -> Json:
        turn = OpenAIResponsesApi().parse_turn(event["response"], self._tools)
        if not self._turns and not turn.context_calls:
            return self._renumber(event, {})
        hidden = HiddenRounds(turns=[*self._turns, turn])
        return self._renumber(
            event, {"response": OpenAIResponsesApi().visible_turn(event["response"], hidden, self._tools)}
        )

    def _renumber(self, event: Json, values: Json) -> Json:
        if "sequence_number" in event:
            values = values | {"sequence_number": self._sequence}
        self._sequence += 1
        return event if all(event[key] == value for key, value in values.items()) else event | values
