"""OpenAI Responses, as JSON. See `base.py` for what an API has to say.

A request that leaves its history with the provider (`previous_response_id`, `conversation`, a stored prompt) cannot be
read here and goes out as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from compressor.providers.base import HiddenRounds, Json, ModelTurn, StreamFilter, sum_usage

_ENDS = ("response.completed", "response.incomplete", "response.failed")
_BEGINS = ("response.queued", "response.created", "response.in_progress")
_ELSEWHERE = ("previous_response_id", "conversation", "prompt", "background", "context_management")


class OpenAIResponsesApi:
    """`POST /responses`."""

    dialect = "openai_responses"

    def supports(self, body: Json) -> bool:
        return bool(isinstance(body.get("input"), (str, list)) and body["input"]) and not any(
            body.get(key) for key in _ELSEWHERE
        )

    def history(self, body: Json) -> list[Json]:
        given = body["input"]
        return [{"role": "user", "content": given}] if isinstance(given, str) else list(given)

    def system(self, body: Json) -> list[Json]:
        return [{"role": "system", "content": body["instructions"]}] if body.get("instructions") else []

    def build_request(self, body: Json, messages: Sequence[Json], schema: Json | None) -> Json:
        result = {**body, "input": list(messages)}
        if schema is not None:
            result["tools"] = [schema, *(body.get("tools") or ())]
        return result

    def build_original_request(self, body: Json, turn: ModelTurn) -> list[Json]:
        if body.get("store") is not False:
            return turn.items
        return [  # nothing is stored there: ids name nothing, and reasoning has to come sealed
            {key: value for key, value in item.items() if key != "id" or item.get("type") == "reasoning"}
            for item in turn.items
            if item.get("type") != "reasoning" or item.get("encrypted_content")
        ]

    def without_forced_tool(self, body: Json) -> Json:
        return body | {"tool_choice": "none"} if len(body.get("tools") or ()) == 1 else body

    def turn(self, response: Json, tool: str) -> ModelTurn:
        items = response.get("output") or []
        asked = [(i["call_id"], i.get("arguments") or "") for i in items if _ours(i, tool)]
        own = [i["call_id"] for i in items if i.get("call_id") and not _ours(i, tool)]
        return ModelTurn([_sendable(item) for item in items], asked, own, response.get("usage"), response.get("id"))

    def results(self, asked: Sequence[tuple[str, str]], texts: Sequence[str]) -> list[Json]:
        pairs = zip(asked, texts, strict=True)
        return [{"type": "function_call_output", "call_id": call_id, "output": text} for (call_id, _), text in pairs]

    def visible_turn(self, response: Json, inner: HiddenRounds, tool: str) -> Json:
        earlier = [item for turn in inner.turns[:-1] for item in turn.items if not _ours(item, tool)]
        output = [item for item in response.get("output") or () if not _ours(item, tool)]
        result = {**response, "id": inner.turns[0].id, "output": [*earlier, *output]}
        usage = sum_usage([turn.usage for turn in inner.turns])
        return result if usage is None else result | {"usage": usage}

    def with_hidden_rounds(self, rest: Sequence[Json], inner: HiddenRounds) -> list[Json]:
        asked = {call_id for turn in inner.turns for call_id, _ in turn.asked}
        shown = [_said(i) for turn in inner.turns[:-1] for i in turn.items if i.get("call_id") not in asked]
        left = list(rest)
        for said in shown:  # what earlier rounds said is in `rounds`; a caller may have left reasoning out
            if left and _said(left[0]) == said:
                left.pop(0)
        silent = all(item.get("call_id") in asked for item in inner.last.items)
        answer = silent or (bool(left) and left[0].get("role", "assistant") == "assistant")
        if not answer or (own := [i["call_id"] for i in left if _is_call(i)][: len(inner.last.own)]) != inner.last.own:
            return list(rest)
        if inner.answers:
            calls = [i for i in inner.last.items if i.get("call_id") in asked]
            at = next(n for n, item in enumerate(left) if item.get("call_id") == own[0])
            left[at:at] = calls
            after = next((n for n, item in enumerate(left) if _is_output(item)), len(left))
            left[after:after] = self.results(inner.last.asked, inner.answers)
        return [*inner.rounds, *left]

    def filter(self, tool: str) -> StreamFilter:
        return _Events(tool)


def _ours(item: Json, tool: str) -> bool:
    return item.get("type") == "function_call" and item.get("name") == tool


def _is_call(item: Json) -> bool:
    return str(item.get("type", "")).endswith("_call") and isinstance(item.get("call_id"), str)


def _is_output(item: Json) -> bool:
    return str(item.get("type", "")).endswith("_call_output")


def _sendable(item: Json) -> Json:
    """A response's item as a request may hold it."""
    return {key: value for key, value in item.items() if value is not None and key != "parsed_arguments"}


def _said(item: Json) -> Any:
    """What tells one item from another, whatever a caller made of its other fields."""
    kind = item.get("type") or "message"
    if kind == "message":
        content = item.get("content")
        parts = [{"text": content}] if isinstance(content, str) else content or ()
        return kind, item.get("role"), [part.get("text") or part.get("refusal") for part in parts]
    return kind, item.get("call_id") or item.get("id") or item.get("encrypted_content")


class _Events:
    """The events of several calls as one stream: begun once, ended once, its items and events numbered on.

    The response that ends it has the id of the one that began it, as the SDK demands; `previous_response_id` has to
    name the last one, though (`ExpandResolver.renamed`).
    """

    def __init__(self, tool: str) -> None:
        self._tool = tool
        self._turns: list[ModelTurn] = []
        self._places: dict[int, int | None] = {}  # None: an expand call, which the caller does not get
        self._sent = 0  # items the caller has got so far
        self._sequence = 0
        self._held: list[Json] = []
        self._response: Json = {}
        self._items: list[Json] = []

    def feed(self, event: Json) -> list[Json]:
        kind = event.get("type")
        if self._turns:
            self._held = []
            if kind in _BEGINS:
                return []
        if kind in _ENDS:
            self._response = event["response"]
            if any(place is None for place in self._places.values()):
                self._held = [event]
                return []
            return [self._ended(event)]
        if "output_index" not in event:
            return [self._numbered(event, {})]
        index = event["output_index"]
        if index not in self._places:
            ours = _ours(event.get("item") or {}, self._tool)
            self._places[index] = None if ours else self._sent
            self._sent += not ours
        if kind == "response.output_item.done":
            self._items.append(event["item"])
        place = self._places[index]
        return [] if place is None else [self._numbered(event, {"output_index": place})]

    def turn(self) -> ModelTurn:
        api = OpenAIResponsesApi()
        response = {**self._response, "output": self._response.get("output") or self._items}
        turn = api.turn(response, self._tool)
        self._turns.append(turn)
        self._places, self._items = {}, []
        return turn

    def finish(self) -> list[Json]:
        held, self._held = self._held, []
        turns = self._turns
        self._turns = turns[:-1]
        return [self._ended(event) for event in held]

    def _ended(self, event: Json) -> Json:
        turn = OpenAIResponsesApi().turn(event["response"], self._tool)
        if not self._turns and not turn.asked:
            return self._numbered(event, {})
        inner = HiddenRounds(turns=[*self._turns, turn])
        return self._numbered(
            event, {"response": OpenAIResponsesApi().visible_turn(event["response"], inner, self._tool)}
        )

    def _numbered(self, event: Json, values: Json) -> Json:
        if "sequence_number" in event:
            values = values | {"sequence_number": self._sequence}
        self._sequence += 1
        return event if all(event[key] == value for key, value in values.items()) else event | values
