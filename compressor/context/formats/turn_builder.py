"""Builds turns while messages are read, and pairs tool calls with their results.

`ToolCallPairing` rejects what a provider would reject: a result without its call, a call without a result, and an id
that two open calls share. Message formats differ in when all results must be there; they call `require_results` then.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from compressor.context.model import Image, Kind, Path, Role, TextSlot, Turn
from compressor.errors import ContextError


class PartLabel(NamedTuple):
    """What the texts of one part of a message are.

    Attributes:
        kind: The kind of content.
        name: For tool calls and results, the tool's name.
        call_id: For tool calls and results, the id of the call.
    """

    kind: Kind
    name: str | None = None
    call_id: str | None = None


class ToolCallPairing:
    """Pairs tool calls with their results while the messages are read in order.

    Attributes:
        open_calls: Calls without a result so far: their ids, each with the index of the message and the tool's name.
    """

    def __init__(self) -> None:
        self.open_calls: dict[str, tuple[int, str | None]] = {}
        self._functions: dict[str, int] = {}  # legacy calls without ids: name -> how many are open

    def open_call(self, call_id: Any, name: str | None, index: int) -> str:
        """Notes a call and returns its id.

        Args:
            call_id: The id as given.
            name: The tool's name.
            index: Index of the message.

        Raises:
            ContextError: The id is missing, or an open call has it.
        """
        key = self._id(call_id, "tool call", index)
        if key in self.open_calls:
            raise ContextError(f"tool call id {key!r} is used twice: give each call its own id", index)
        self.open_calls[key] = (index, name)
        return key

    def close_call(self, call_id: Any, index: int) -> tuple[str, str | None]:
        """Notes the result of a call and returns the call's id and the tool's name.

        Args:
            call_id: The id as given.
            index: Index of the message.

        Raises:
            ContextError: The id is missing, or there is no open call with it.
        """
        key = self._id(call_id, "tool result", index)
        if key not in self.open_calls:
            raise ContextError(
                f"the tool result for {key!r} has no call before it: add the call or remove the result",
                index,
            )
        return key, self.open_calls.pop(key)[1]

    def open_function_call(self, name: str) -> None:
        """Notes a legacy call, which is known only by its function's name."""
        self._functions[name] = self._functions.get(name, 0) + 1

    def close_function_call(self, name: str, index: int) -> None:
        """Notes the result of a legacy call.

        Args:
            name: The function's name.
            index: Index of the message.

        Raises:
            ContextError: There is no open call of that function.
        """
        if not self._functions.get(name):
            raise ContextError(
                f"the result of function {name!r} has no function_call before it: add the call or remove the result",
                index,
            )
        self._functions[name] -= 1

    def require_results(self, before: int | None = None) -> None:
        """Checks that calls have their results by now.

        Args:
            before: Check only calls up to the message with this index; by default all calls so far.

        Raises:
            ContextError: A call has no result. The error has the index of its message.
        """
        for call_id, (index, _) in self.open_calls.items():
            if before is not None and index > before:
                continue
            raise ContextError(f"tool call {call_id!r} has no result: add its result or remove the call", index)

    @staticmethod
    def _id(call_id: Any, what: str, index: int) -> str:
        if isinstance(call_id, str) and call_id:
            return call_id
        raise ContextError(f"the {what} has no id: give it one, because ids pair calls with their results", index)


class TurnBuilder:
    """Collects what one message holds. Empty texts do not become slots.

    Args:
        index: Index of the message.
        role: Who speaks.
        pairing: The tool calls and results of all messages.
    """

    __slots__ = ("call_ids", "extras", "index", "pairing", "result_call_ids", "role", "slots")

    def __init__(self, index: int, role: Role, pairing: ToolCallPairing) -> None:
        self.index = index
        self.role: Role = role
        self.pairing = pairing
        self.slots: list[TextSlot] = []
        self.call_ids: list[str] = []
        self.result_call_ids: list[str] = []
        self.extras: list[str] = []

    def add_text(self, path: Path, text: Any, label: PartLabel, editable: bool = True) -> None:
        """Adds a text; raises ContextError if it is not a string."""
        if not isinstance(text, str):
            raise self.error(f"{_dotted(path)} must be a string, got {type(text).__name__}")
        if text:
            self.slots.append(TextSlot(self.index, path, label[0], text, editable, label[1], label[2]))

    def add_image(self, path: Path, image: Image, label: PartLabel, editable: bool = True) -> None:
        """Adds an image."""
        self.slots.append(TextSlot(self.index, path, "image", "", editable, label.name, label.call_id, image))

    def add_extra(self, text: Any) -> None:
        """Adds a text that is billed and never edited; ignores other values."""
        if isinstance(text, str) and text:
            self.extras.append(text)

    def add_call(self, call_id: Any, name: Any) -> PartLabel:
        """Adds a tool call and returns the label of its arguments."""
        name = self.tool_name(name)
        call_id = self.pairing.open_call(call_id, name, self.index)
        self.call_ids.append(call_id)
        self.extras.append(name)
        return PartLabel("tool_call", name, call_id)

    def add_function_call(self, name: Any) -> PartLabel:
        """Adds a legacy call without an id and returns the label of its arguments."""
        name = self.tool_name(name)
        self.pairing.open_function_call(name)
        self.extras.append(name)
        return PartLabel("tool_call", name)

    def add_result(self, call_id: Any, name: Any = None) -> PartLabel:
        """Adds a tool result and returns the label of its texts."""
        call_id, called = self.pairing.close_call(call_id, self.index)
        self.result_call_ids.append(call_id)
        return PartLabel("tool_result", name if isinstance(name, str) and name else called, call_id)

    def add_function_result(self, name: Any) -> PartLabel:
        """Adds a legacy result without an id and returns the label of its texts."""
        name = self.tool_name(name)
        self.pairing.close_function_call(name, self.index)
        self.extras.append(name)
        return PartLabel("tool_result", name)

    def tool_name(self, name: Any) -> str:
        """Returns a tool's name; raises ContextError if it is missing."""
        if isinstance(name, str) and name:
            return name
        raise self.error("the tool call or result has no tool name")

    def error(self, problem: str) -> ContextError:
        """Returns an error with the index of this message."""
        return ContextError(problem, self.index)

    def build(self) -> Turn:
        """Returns the turn."""
        return Turn(
            self.index, self.role, self.slots, tuple(self.call_ids), tuple(self.result_call_ids), tuple(self.extras)
        )


def _dotted(path: Path) -> str:
    return ".".join(map(str, path))
