"""The data model: what an agent is about to send, in one form for all message formats.

A `Context` holds the caller's own message objects untouched and, beside them, one `Turn` per message. A turn lists its
`TextSlot`s: the texts and images that can be counted and, some of them, edited. A message format renders the context
again from a mapping of `(message, path)` to new text. What is not a slot, such as unknown keys, never changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from compressor.context.formats.known_history import KnownHistory
    from compressor.context.running_totals import RunningTotals

Kind = Literal["system", "user", "assistant", "thinking", "tool_call", "tool_result", "document", "example", "image"]
Role = Literal["system", "user", "assistant", "tool"]
Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Image:
    """An image, as far as its tokens depend on it.

    Attributes:
        width: Width in pixels; 0 if unknown.
        height: Height in pixels; 0 if unknown.
        detail: The provider's setting: OpenAI's `detail`, or Gemini's media resolution such as "low".
        needs_picture: Whether only another picture may take its place, and no text: so it is with the screenshot that a
            provider's computer tool must return. Its slot is not editable.
    """

    width: int = 0
    height: int = 0
    detail: str = "auto"
    needs_picture: bool = False


@dataclass(frozen=True, slots=True)
class AttachedFile:
    """A file such as a PDF, as far as its tokens depend on it. It is billed, and can be neither read nor edited.

    Attributes:
        pages: The number of pages that the provider shows the model as images; 0 for a file of text only.
        characters: The number of characters of its text.
        detail: The provider's detail setting for the images of the pages.
    """

    pages: int = 1
    characters: int = 0
    detail: str = "auto"


@dataclass(slots=True)
class TextSlot:
    """One text or image inside a message.

    Attributes:
        message: Index of the message.
        path: Where the text is inside the message: keys and indices, unique within the message.
        kind: The kind of content.
        text: The text; "" for an image.
        editable: Whether the text may be replaced. A signed thinking block or a refusal is counted only.
        name: For tool calls and results, the tool's name.
        call_id: For tool calls and results, the id of the call.
        image: The image, if the slot is one.
    """

    message: int
    path: Path
    kind: Kind
    text: str = ""
    editable: bool = True
    name: str | None = None
    call_id: str | None = None
    image: Image | None = None


@dataclass(slots=True)
class Turn:
    """One message, in a form that is the same for all message formats.

    Attributes:
        index: Index of the message.
        role: Who speaks.
        slots: The texts and images of the message, in order.
        call_ids: Ids of the tool calls made in the message.
        result_call_ids: Ids of the calls whose results the message holds.
        extras: Texts that the provider bills and that are never edited: participants' and tools' names, and what server
            tools were asked and returned.
        unbilled: Texts that the provider neither bills nor lets anyone edit: what citations quote, and reasoning that
            it ignores.
        opaque_tokens: Estimated tokens of encrypted payloads. They are billed, and can be neither read nor edited.
        files: Files that are billed and never edited, such as PDFs.
        linked_ids: Ids of calls that the message belongs to without making them or holding their results. Messages that
            are linked stay or go together.
        is_summary: Whether the message holds what came before it, as a provider's own compaction item does, or refers
            to it. Without it the provider does not know that part of the history.
        is_malformed: Whether the message is part of something that providers reject, such as a tool result without its
            call. Only lenient parsing gives such turns. None of their slots is editable.
    """

    index: int
    role: Role
    slots: list[TextSlot] = field(default_factory=list)
    call_ids: tuple[str, ...] = ()
    result_call_ids: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    unbilled: tuple[str, ...] = ()
    opaque_tokens: int = 0
    files: tuple[AttachedFile, ...] = ()
    linked_ids: tuple[str, ...] = ()
    is_summary: bool = False
    is_malformed: bool = False

    @property
    def unedited_texts(self) -> tuple[str, ...]:
        """Returns what the message says outside of its slots."""
        return (*self.extras, *self.unbilled)


@dataclass(slots=True)
class Context:
    """Parsed messages.

    Attributes:
        messages: The caller's own objects, which are never written to.
        turns: One turn per message.
        format_name: The name of the message format they were read with.
        tools: The tool schemas as given, in any provider's form; they are counted and scored.
        totals: Running totals over the turns, or None before they are first asked for, see `totals_of`.
        history: What `known_history` remembers of the messages, or None. If it is not None, a provider accepts them.
        settled: How many messages at the start are known to have the results of all their calls.
    """

    messages: Sequence[Any]
    turns: list[Turn]
    format_name: str
    tools: Sequence[Any] | None = None
    totals: RunningTotals | None = field(default=None, repr=False, compare=False)
    history: KnownHistory | None = field(default=None, repr=False, compare=False)
    settled: int = field(default=0, repr=False, compare=False)
