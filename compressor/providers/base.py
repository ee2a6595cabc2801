"""What one provider API has to say of itself, so that expand calls can be resolved inside a call.

Everything here is plain JSON data, as it goes over the wire: no SDK, no HTTP, no compressor. An `ProviderApi` reads and
writes request bodies and responses; a `StreamFilter` turns the streams of several internal calls into the one stream that
the caller sees; an `HiddenRounds` is what the caller did not see, to be put back into its later histories.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

Json = dict[str, Any]


@dataclass(frozen=True)
class ModelTurn:
    """What the model said in one call.

    items: that, as it has to stand in the next request. asked: its expand calls, as (call id, arguments). own: the ids
    of its calls to the caller's tools. usage: the provider's, if it came. id: the response's.
    """

    items: list[Json]
    asked: list[tuple[str, str]] = field(default_factory=list)
    own: list[str] = field(default_factory=list)
    usage: Json | None = None
    id: str | None = None


@dataclass
class HiddenRounds:
    """What happened inside one call of the caller's: rounds that asked for nothing but texts, then the last turn.

    rounds: the items of those rounds with their answers; turns: the model's turns, the last one included;
    answers: the texts answered to the last turn's expand calls, where it also called the caller's tools.
    """

    rounds: list[Json] = field(default_factory=list)
    turns: list[ModelTurn] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)

    @property
    def last(self) -> ModelTurn:
        return self.turns[-1]

    @property
    def hidden(self) -> bool:
        """Whether the caller did not see everything."""
        return len(self.turns) > 1 or bool(self.last.asked)


class StreamFilter(Protocol):
    """The caller's stream, made from one or several. Events that need no change are given back as the same objects."""

    def feed(self, event: Json) -> list[Json]:
        """An event of the current call; gives what the caller gets now."""
        ...

    def turn(self) -> ModelTurn:
        """What the current call has said, once its stream is over; what comes next is fed from a new call."""
        ...

    def finish(self) -> list[Json]:
        """What was held back, when no further call is made."""
        ...


class ProviderApi(Protocol):
    """One provider API. `tool`: the expand tool's name."""

    dialect: str

    def supports(self, body: Json) -> bool:
        """Whether the body holds the whole history and asks for one answer."""
        ...

    def history(self, body: Json) -> list[Json]:
        """The caller's messages."""
        ...

    def system(self, body: Json) -> list[Json]:
        """A system prompt that is held apart from the messages, as messages; else nothing."""
        ...

    def build_request(self, body: Json, messages: Sequence[Json], schema: Json | None) -> Json:
        """A copy of the body with these messages and, if given, the expand tool in front of the others."""
        ...

    def build_original_request(self, body: Json, turn: ModelTurn) -> list[Json]:
        """A turn's items as the next request of this kind may hold them."""
        ...

    def without_forced_tool(self, body: Json) -> Json:
        """A copy of a written body after which no expand call can come, where that takes no tool from the caller."""
        ...

    def turn(self, response: Json, tool: str) -> ModelTurn:
        """What a whole response says."""
        ...

    def results(self, asked: Sequence[tuple[str, str]], texts: Sequence[str]) -> list[Json]:
        """The answers to expand calls, as items of the next request."""
        ...

    def visible_turn(self, response: Json, inner: HiddenRounds, tool: str) -> Json:
        """A copy of the last response as the caller gets it: what was said in all rounds, without expand calls."""
        ...

    def with_hidden_rounds(self, rest: Sequence[Json], inner: HiddenRounds) -> list[Json]:
        """What follows in the caller's history, from the answer on, with what it did not see put back. The same
        messages if they do not start with that answer."""
        ...

    def filter(self, tool: str) -> StreamFilter:
        """A new filter for a stream."""
        ...


def sum_usage(usages: Sequence[Json | None]) -> Json | None:
    """The usage of several calls: numbers added up, anything else as the last call says."""
    total: Json | None = None
    for usage in usages:
        if usage is not None:
            total = dict(usage) if total is None else _added(total, usage)
    return total


def _added(one: Json, other: Json) -> Json:
    result = dict(one)
    for key, value in other.items():
        before = result.get(key)
        if isinstance(before, dict) and isinstance(value, dict):
            result[key] = _added(before, value)
        elif _number(before) and _number(value):
            result[key] = before + value
        elif value is not None:
            result[key] = value
    return result


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
