"""Collects what one message holds, while it is read, and builds its turn."""

from __future__ import annotations

from typing import Any, NamedTuple

from compressor.context.formats.attached_files import read_attached_file
from compressor.context.formats.tool_call_pairing import ToolCallPairing
from compressor.context.formats.unedited_values import estimate_opaque_tokens, leaf_texts, pdf_payloads
from compressor.context.model import AttachedFile, Image, Kind, Path, Role, TextSlot, Turn
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


class TurnBuilder:
    """Collects what one message holds. Empty texts do not become slots.

    Args:
        index: Index of the message.
        role: Who speaks.
        pairing: The tool calls and results of all messages.
    """

    __slots__ = (
        "call_ids",
        "extras",
        "files",
        "index",
        "is_fixed",
        "is_summary",
        "linked_ids",
        "opaque_tokens",
        "pairing",
        "result_call_ids",
        "role",
        "slots",
        "unbilled",
    )

    def __init__(self, index: int, role: Role, pairing: ToolCallPairing) -> None:
        self.index = index
        self.role: Role = role
        self.pairing = pairing
        self.slots: list[TextSlot] = []
        self.call_ids: list[str] = []
        self.result_call_ids: list[str] = []
        self.extras: list[str] = []
        self.unbilled: list[str] = []
        self.linked_ids: list[str] = []
        self.opaque_tokens = 0
        self.files: list[AttachedFile] = []
        self.is_summary = False
        self.is_fixed = False  # whether what is read now is never edited

    def add_text(self, path: Path, text: Any, label: PartLabel, editable: bool = True) -> None:
        """Adds a text; raises ContextError if it is not a string."""
        if not isinstance(text, str):
            raise self.error(f"{_dotted(path)} must be a string, got {type(text).__name__}")
        if text:
            self.slots.append(
                TextSlot(self.index, path, label[0], text, editable and not self.is_fixed, label[1], label[2])
            )

    def add_image(self, path: Path, image: Image, label: PartLabel, editable: bool = True) -> None:
        """Adds an image."""
        editable = editable and not self.is_fixed
        self.slots.append(TextSlot(self.index, path, "image", "", editable, label.name, label.call_id, image))

    def add_extra(self, text: Any) -> None:
        """Adds a text that is billed and never edited; ignores other values."""
        if isinstance(text, str) and text:
            self.extras.append(text)

    def add_unedited(self, value: Any) -> None:
        """Adds the texts, the encrypted payloads and the PDFs of a value that is billed and never edited."""
        self.extras.extend(leaf_texts(value))
        self.opaque_tokens += estimate_opaque_tokens(value)
        for data in pdf_payloads(value):
            self.add_file(read_attached_file(data, "application/pdf"))

    def add_file(self, file: AttachedFile | None) -> None:
        """Adds a file that is billed and never edited; None adds nothing."""
        if file is not None:
            self.files.append(file)

    def add_unbilled(self, text: Any) -> None:
        """Adds a text that is neither billed nor edited; ignores other values."""
        if isinstance(text, str) and text and text not in self.unbilled:
            self.unbilled.append(text)

    def add_call(self, call_id: Any, name: Any) -> PartLabel:
        """Adds a tool call and returns the label of its arguments."""
        name = self.tool_name(name)
        call_id = self.pairing.open_call(call_id, name, self.index)
        if call_id:
            self.call_ids.append(call_id)
        self.extras.append(name)
        return PartLabel("tool_call", name, call_id or None)

    def add_function_call(self, name: Any) -> PartLabel:
        """Adds a legacy call without an id and returns the label of its arguments."""
        name = self.tool_name(name)
        self.pairing.open_function_call(name)
        self.extras.append(name)
        return PartLabel("tool_call", name)

    def add_result(self, call_id: Any, name: Any = None) -> PartLabel:
        """Adds a tool result and returns the label of its texts."""
        call_id, called = self.pairing.close_call(call_id, self.index)
        if call_id:
            self.result_call_ids.append(call_id)
        return PartLabel("tool_result", name if isinstance(name, str) and name else called, call_id or None)

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
            self.index,
            self.role,
            self.slots,
            tuple(self.call_ids),
            tuple(self.result_call_ids),
            tuple(self.extras),
            tuple(self.unbilled),
            self.opaque_tokens,
            tuple(self.files),
            tuple(self.linked_ids),
            self.is_summary,
        )


def _dotted(path: Path) -> str:
    return ".".join(map(str, path))
