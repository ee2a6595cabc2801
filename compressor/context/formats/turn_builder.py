"""A turn while it is being read, and the tool pairing around it: which calls are open, which result answers which.

`ToolCallPairing` refuses what a provider would refuse: a result without its call, a call that never gets its result, one id
used twice at a time. When a round has to be over differs between dialects, so they say so (`close`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from compressor.context.model import Image, Kind, Path, Role, TextSlot, Turn
from compressor.errors import ContextError


class PartLabel(NamedTuple):
    """What the texts of one part of a message are."""

    kind: Kind
    name: str | None = None
    call_id: str | None = None


class ToolCallPairing:
    """Pairs tool calls with their results while the messages are read in order."""

    def __init__(self) -> None:
        self.open_calls: dict[str, tuple[int, str | None]] = {}  # id -> where it was called, the tool's name
        self._functions: dict[str, int] = {}  # the legacy calls without ids: name -> how many are open

    def open_call(self, call_id: Any, name: str | None, index: int) -> str:
        """Opens a call and gives its id."""
        key = self._id(call_id, "tool call", index)
        if key in self.open_calls:
            raise ContextError(f"tool call id {key!r} is used twice: give each call its own id", index)
        self.open_calls[key] = (index, name)
        return key

    def close_call(self, call_id: Any, index: int) -> tuple[str, str | None]:
        """Closes a call; gives its id and the tool's name."""
        key = self._id(call_id, "tool result", index)
        if key not in self.open_calls:
            raise ContextError(
                f"tool result for {key!r}, which no call before it waits for: add the call or remove the result",
                index,
            )
        return key, self.open_calls.pop(key)[1]

    def open_function_call(self, name: str) -> None:
        """Opens a legacy call, known only by its function's name."""
        self._functions[name] = self._functions.get(name, 0) + 1

    def close_function_call(self, name: str, index: int) -> None:
        """Closes the legacy call of that name."""
        if not self._functions.get(name):
            raise ContextError(
                f"result of function {name!r}, which no function_call before it waits for: add the call or remove it",
                index,
            )
        self._functions[name] -= 1

    def require_results(self, before: int | None = None) -> None:
        """The calls made so far (or `before` a message) must have their results by now. `ContextError` names the
        message whose call has none."""
        for call_id, (index, _) in self.open_calls.items():
            if before is not None and index > before:
                continue
            raise ContextError(f"tool call {call_id!r} has no result: add its result or remove the call", index)

    @staticmethod
    def _id(call_id: Any, what: str, index: int) -> str:
        if isinstance(call_id, str) and call_id:
            return call_id
        raise ContextError(f"{what} without an id: ids pair calls with their results", index)


class TurnBuilder:
    """Collects what one message holds. Texts that are empty are no slots."""

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
        if not isinstance(text, str):
            raise self.error(f"{_dotted(path)} must be a string, got {type(text).__name__}")
        if text:
            self.slots.append(TextSlot(self.index, path, label[0], text, editable, label[1], label[2]))

    def add_image(self, path: Path, image: Image, label: PartLabel, editable: bool = True) -> None:
        self.slots.append(TextSlot(self.index, path, "image", "", editable, label.name, label.call_id, image))

    def add_extra(self, text: Any) -> None:
        """A text that is billed and never edited. Anything but a text is no matter here."""
        if isinstance(text, str) and text:
            self.extras.append(text)

    def add_call(self, call_id: Any, name: Any) -> PartLabel:
        """A tool call made here; gives the label of its arguments."""
        name = self.tool_name(name)
        call_id = self.pairing.open_call(call_id, name, self.index)
        self.call_ids.append(call_id)
        self.extras.append(name)
        return PartLabel("tool_call", name, call_id)

    def add_function_call(self, name: Any) -> PartLabel:
        """A legacy call without an id."""
        name = self.tool_name(name)
        self.pairing.open_function_call(name)
        self.extras.append(name)
        return PartLabel("tool_call", name)

    def add_result(self, call_id: Any, name: Any = None) -> PartLabel:
        """A tool result given here; gives the label of its texts."""
        call_id, called = self.pairing.close_call(call_id, self.index)
        self.result_call_ids.append(call_id)
        return PartLabel("tool_result", name if isinstance(name, str) and name else called, call_id)

    def add_function_result(self, name: Any) -> PartLabel:
        """A legacy result without an id."""
        name = self.tool_name(name)
        self.pairing.close_function_call(name, self.index)
        self.extras.append(name)
        return PartLabel("tool_result", name)

    def tool_name(self, name: Any) -> str:
        if isinstance(name, str) and name:
            return name
        raise self.error("a tool call needs the name of its tool")

    def error(self, problem: str) -> ContextError:
        return ContextError(problem, self.index)

    def build(self) -> Turn:
        return Turn(
            self.index, self.role, self.slots, tuple(self.call_ids), tuple(self.result_call_ids), tuple(self.extras)
        )


def _dotted(path: Path) -> str:
    return ".".join(map(str, path))
