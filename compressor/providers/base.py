"""Defines what each provider API implements so that context calls can be answered inside one call of the caller.

A context call is a call of one of the compressor's own tools, such as `expand_context` and `recall_context`.

A `ProviderApi` reads and writes request bodies and responses. A `StreamFilter` joins the streams of several internal
requests into the one stream that the caller sees. A `HiddenRounds` holds what the caller did not see, so that it can be
put back into the histories that the caller sends later.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

Json = dict[str, Any]
#: How the fields of a usage begin that are added up over several requests; of the others, the last value is true.
_ADDED_UP = ("completion_tokens", "output_tokens", "server_tool_use", "cost")


class ContextCall(NamedTuple):
    """A call of one of the compressor's own tools.

    Attributes:
        id: The id of the call.
        name: The name of the tool.
        arguments: The arguments as JSON text.
    """

    id: str
    name: str
    arguments: str


@dataclass(frozen=True)
class ModelTurn:
    """What the model answered to one request.

    Attributes:
        items: The answer as messages (for Responses: items) of the next request.
        context_calls: The calls of the compressor's own tools.
        caller_call_ids: The ids of the calls of the caller's own tools.
        usage: The usage that the provider reported, or None.
        id: The id of the response, for APIs that continue a response by its id.
    """

    items: list[Json]
    context_calls: list[ContextCall] = field(default_factory=list)
    caller_call_ids: list[str] = field(default_factory=list)
    usage: Json | None = None
    id: str | None = None


@dataclass
class HiddenRounds:
    """The rounds inside one call of the caller: those of context calls only, then the last turn.

    Attributes:
        items: The messages of the rounds of context calls only, each with its answers.
        turns: The model's turns in order, the last one included.
        context_answers: The answers to the last turn's context calls, if it also called the caller's tools.
    """

    items: list[Json] = field(default_factory=list)
    turns: list[ModelTurn] = field(default_factory=list)
    context_answers: list[str] = field(default_factory=list)

    @property
    def last(self) -> ModelTurn:
        """Returns the newest turn."""
        return self.turns[-1]

    @property
    def has_hidden_parts(self) -> bool:
        """Returns whether the caller did not see everything."""
        return len(self.turns) > 1 or bool(self.last.context_calls)


class StreamFilter(Protocol):
    """Makes the caller's stream from the streams of one or several requests.

    An event that needs no change is returned as the same object.
    """

    def feed(self, event: Json) -> list[Json]:
        """Takes an event of the current request and returns the events that the caller gets now."""
        ...

    def end_call(self) -> ModelTurn:
        """Returns what the model answered, once the current stream is over; later events belong to a new request."""
        ...

    def flush(self) -> list[Json]:
        """Returns the events that were held back, when no further request is made."""
        ...


class ProviderApi(Protocol):
    """Reads and writes the JSON of one provider API.

    The parameter `tools` has the names of the compressor's own tools in all methods.

    Attributes:
        dialect: The name of the message format (`compressor.context.formats`).
    """

    dialect: str

    def supports(self, body: Json) -> bool:
        """Returns whether the body holds the whole history and asks for one answer."""
        ...

    def read_messages(self, body: Json) -> list[Json]:
        """Returns the caller's messages."""
        ...

    def read_system(self, body: Json) -> list[Json]:
        """Returns a system prompt that the API keeps apart from the messages as a list of one message, or []."""
        ...

    def with_system(self, body: Json, content: Any) -> Json:
        """Returns a copy of the body with another content of the system prompt that `read_system` returns."""
        ...

    def build_request(self, body: Json, messages: Sequence[Json], schemas: Sequence[Json]) -> Json:
        """Returns a copy of the body with these messages and the tools of `schemas` before the other tools."""
        ...

    def items_to_resend(self, body: Json, turn: ModelTurn) -> list[Json]:
        """Returns the items of a turn in the form that the next request may hold."""
        ...

    def without_forced_tool(self, body: Json, tools: Collection[str]) -> Json:
        """Returns a copy of a built body that forbids tool calls, if it has no other tools than `tools`."""
        ...

    def parse_turn(self, response: Json, tools: Collection[str]) -> ModelTurn:
        """Reads a whole (not streamed) response."""
        ...

    def build_context_results(self, calls: Sequence[ContextCall], texts: Sequence[str]) -> list[Json]:
        """Returns the answers to context calls as items of the next request.

        Args:
            calls: The calls.
            texts: One answer for each call.
        """
        ...

    def visible_turn(self, response: Json, hidden: HiddenRounds, tools: Collection[str]) -> Json:
        """Returns a copy of the last response with the texts of all rounds and without context calls."""
        ...

    def with_hidden_rounds(self, rest: Sequence[Json], hidden: HiddenRounds) -> list[Json]:
        """Puts what the caller did not see back into the end of its history.

        Args:
            rest: The caller's history from the answer on.
            hidden: The rounds that led to that answer.

        Returns:
            The completed messages, or a copy of `rest` if it does not start with that answer.
        """
        ...

    def context_round(self, hidden: HiddenRounds) -> list[Json]:
        """Returns the last turn's context calls and their answers as messages of their own.

        They stand before the turn as its caller wrote it, if the caller's form of it has no place for them.
        """
        ...

    def make_stream_filter(self, tools: Collection[str]) -> StreamFilter:
        """Returns a new filter for the streams of one call."""
        ...


def tool_name(tool: Any) -> str | None:
    """Returns the name of a tool's schema, or of a call in the form of the Chat API; None if it has none."""
    if not isinstance(tool, dict):
        return None
    name = (tool.get("function") or tool).get("name")
    return name if isinstance(name, str) else None


def has_only_tools(body: Json, names: Collection[str]) -> bool:
    """Returns whether a body has no other tools than these."""
    tools = body.get("tools") or ()
    return bool(tools) and all(tool_name(tool) in names for tool in tools)


def forbids_tools(body: Json, names: Collection[str]) -> bool:
    """Returns whether the `tool_choice` of a body keeps the model from calling any of these tools."""
    choice = body.get("tool_choice")
    if not isinstance(choice, dict):
        return choice == "none"
    if choice.get("type") in ("auto", "any", "required"):
        return False
    if choice.get("type") == "allowed_tools":
        inner = choice.get("allowed_tools")
        allowed = (inner if isinstance(inner, dict) else choice).get("tools")
        return not any(tool_name(tool) in names for tool in (allowed if isinstance(allowed, list) else ()))
    return tool_name(choice) not in names


def wants_json(body: Json) -> bool:
    """Returns whether a body asks for an answer in JSON. Some servers refuse tools beside that."""
    forms = [body.get("response_format"), body.get("output_format")]
    for key in ("text", "output_config"):
        forms.append(part.get("format") if isinstance(part := body.get(key), dict) else None)
    return any(isinstance(form, dict) and form.get("type") not in (None, "text") for form in forms)


def sum_usage(usages: Sequence[Json | None]) -> Json | None:
    """Returns the usage of several requests: the sum of each number, and the last value of everything else."""
    total: Json | None = None
    for usage in usages:
        if usage is not None:
            total = dict(usage) if total is None else _add_usage(total, usage)
    return total


def visible_usage(usages: Sequence[Json | None]) -> Json | None:
    """Returns the usage that the caller of several requests sees: the last prompt, and all output.

    Clients take the prompt tokens of an answer for the size of their context and compact themselves by it, so prompts
    are not added up. What the model wrote in all rounds is new in the caller's context, or paid for by it.
    """
    known = [usage for usage in usages if usage is not None]
    if not known:
        return None
    last, total = dict(known[-1]), sum_usage(known)
    for key in last:
        if total is not None and key.startswith(_ADDED_UP):
            last[key] = total[key]
    written = next((key for key in ("completion_tokens", "output_tokens") if _is_number(last.get(key))), None)
    if written is not None and _is_number(last.get("total_tokens")):
        last["total_tokens"] += last[written] - known[-1][written]
    return last


def _add_usage(one: Json, other: Json) -> Json:
    result = dict(one)
    for key, value in other.items():
        before = result.get(key)
        if isinstance(before, dict) and isinstance(value, dict):
            result[key] = _add_usage(before, value)
        elif _is_number(before) and _is_number(value):
            result[key] = before + value
        elif value is not None:
            result[key] = value
    return result


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
