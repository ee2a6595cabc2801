"""What a dialect is. Dialects know wire formats; they know no budget, score or store."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

from compressor.context.model import Context, Path

#: (message index, slot path) -> the slot's new text
Edits = Mapping[tuple[int, Path], str]


class MessageFormat(Protocol):
    """A wire form we parse and render without loss."""

    name: str

    def matches(self, messages: Sequence[Any]) -> bool:
        """Whether these messages are written in this dialect. Never raises."""
        ...

    def parse(self, messages: Sequence[Any], tools: Sequence[Any] | None = None) -> Context:
        """Reads the messages. Raises `ContextError` naming the message index for what the provider would refuse:
        a non-message, an unknown role, a tool result without its call, a call without its result."""
        ...

    def render(self, context: Context, edits: Edits, drop: Collection[int] = ()) -> list[Any]:
        """The messages again, with `edits` applied and the messages in `drop` left out.

        A message without an edit is the *same object* as the caller's; an edited one is a copy (as shallow as
        possible) in which only the edited text differs. The caller's objects are never written to.
        """
        ...
