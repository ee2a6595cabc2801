"""Defines what a message format is: a way in which a provider or framework writes messages."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from compressor.context.model import Context, Path

if TYPE_CHECKING:
    from compressor.context.formats.parsing import EndCheck, MessageReader

#: (message index, slot path) -> the slot's new text.
Edits = Mapping[tuple[int, Path], str]


class MessageFormat(Protocol):
    """A format of messages that is parsed and rendered without loss.

    Attributes:
        name: The format's name, such as "openai_chat".
    """

    name: str

    def matches(self, messages: Sequence[Any]) -> bool:
        """Returns whether these messages are written in this format. Never raises."""
        ...

    def parse(self, messages: Sequence[Any], tools: Sequence[Any] | None = None, lenient: bool = False) -> Context:
        """Reads the messages.

        Args:
            messages: The caller's messages.
            tools: The tool schemas that are sent with them.
            lenient: Whether messages that the provider would reject become turns that nobody edits
                (`Turn.is_malformed`) instead of an error. Valid messages give the same context either way.

        Raises:
            ContextError: The provider would reject the messages: a value is not a message, a role is unknown, a tool
                result has no call, or a call has no result. The error has the index of the message. If lenient, only
                what is not a list raises.
        """
        ...

    def reader(self, messages: Sequence[Any]) -> tuple[MessageReader, EndCheck | None]:
        """Returns what reads one of these messages, and what checks the pairs of calls and results at the end."""
        ...

    def render(self, context: Context, edits: Edits, drop: Collection[int] = ()) -> list[Any]:
        """Writes the messages again.

        Args:
            context: The parsed messages.
            edits: New texts of slots.
            drop: Indices of messages to leave out.

        Returns:
            The messages. One without an edit is the *same object* as the caller's. An edited one is a copy, as shallow
            as possible, in which only the edited texts differ. The caller's objects are never written to.

        Raises:
            ContextError: An edit does not fit an editable slot.
        """
        ...
