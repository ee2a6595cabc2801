"""The one internal form of what an agent is about to send. Holds data; parses, scores and renders nothing.

A `Context` keeps the caller's own message objects untouched and, beside them, one `ModelTurn` per message. A turn
lists its `TextSlot`s: the texts (and images) that can be counted and, some of them, edited. Whoever renders takes a
mapping from `(message, path)` to new text. What is not a slot, the caller's unknown keys included, never changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["system", "user", "assistant", "thinking", "tool_call", "tool_result", "document", "example", "image"]
Role = Literal["system", "user", "assistant", "tool"]
Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Image:
    """Size of an image in pixels (0 where unknown) and the provider's detail setting."""

    width: int = 0
    height: int = 0
    detail: str = "auto"


@dataclass(slots=True)
class TextSlot:
    """One text (or image) inside a message.

    `path` is private to the dialect and unique within the message. `editable` text may be replaced; a slot that is
    not (a signed thinking block, a refusal) is counted and otherwise left alone.
    """

    message: int
    path: Path
    kind: Kind
    text: str = ""
    editable: bool = True
    name: str | None = None  # the tool's name for tool calls and results
    call_id: str | None = None
    image: Image | None = None


@dataclass(slots=True)
class Turn:
    """What one message is, whatever dialect it was written in.

    `calls` are the ids of the tool calls made here, `answers` the ids of the calls answered here. `extras` are texts
    that the provider bills and we never edit (participant names, tool-call names)."""

    index: int
    role: Role
    slots: list[TextSlot] = field(default_factory=list)
    call_ids: tuple[str, ...] = ()
    result_call_ids: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()


@dataclass(slots=True)
class Context:
    """Parsed messages. `messages` are the caller's own objects and are never written to.

    `dialect` is the dialect's name; `tools` the tool schemas as given (any dialect), used for counting and scoring.
    """

    messages: Sequence[Any]
    turns: list[Turn]
    format_name: str
    tools: Sequence[Any] | None = None
