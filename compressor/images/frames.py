"""Lists the images of a context, each with the page or window that it shows and the texts beside it.

An image alone does not say where it comes from. The text parts of its message, the result of the tool before it and the
arguments of the call do, each framework in its own notation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from compressor.context.formats.json_values import to_plain_dict
from compressor.context.model import Context, Path, TextSlot, Turn
from compressor.images.frame_sources import FrameSource, find_source, is_screenshot, shows_part, works_on_page
from compressor.images.page_labels import NO_LABELS, PageLabels, read_page_labels, read_page_values
from compressor.images.page_memory import PageMemory

_OUR_LINE = re.compile(r"\[image (\d{1,4}): ")
_MAX_TITLE = 300


@dataclass(frozen=True, slots=True)
class Frame:
    """An image of a context and what is known of it without its pixels.

    Attributes:
        message: Index of the message.
        slot: The slot of the image.
        number: The number by which lines and placeholders name it: 1 for the first image of the context. Lines that
            earlier images left behind are counted, too.
        source: Who the image comes from.
        is_screenshot: Whether it shows a page, a window or a screen, and not a picture, photo or chart.
        call_id: Id of the call whose result it is, or None.
        tool: Name of the tool, or None.
        labels: URL, title, window, tab and file names, as far as they are known.
        is_carried: Whether URL and title are those of an earlier result, because nothing beside the image says them.
        texts: The texts beside it: of the same message or result, and the tool result right before a user message.
        call_text: The arguments of the call whose result it is; "" if there is none.
        place: Index among the images of the same result or message.
        is_part: Whether it shows an element or a region, which says nothing about the rest of the page.
    """

    message: int
    slot: TextSlot
    number: int
    source: FrameSource
    is_screenshot: bool
    call_id: str | None = None
    tool: str | None = None
    labels: PageLabels = NO_LABELS
    is_carried: bool = False
    texts: tuple[str, ...] = ()
    call_text: str = ""
    place: int = 0
    is_part: bool = False

    @property
    def key(self) -> tuple[int, Path]:
        """Message and path of the image."""
        return self.message, self.slot.path

    @property
    def url(self) -> str:
        """The URL of the page; "" if unknown."""
        return self.labels.url

    @property
    def title(self) -> str:
        """The title of the page; "" if unknown."""
        return self.labels.title

    @property
    def window(self) -> str:
        """The window, app or activity; "" if unknown."""
        return self.labels.window


def list_frames(context: Context) -> list[Frame]:
    """Returns the images of a context in order.

    Args:
        context: Parsed messages of any format.
    """
    if not any(slot.image is not None for turn in context.turns for slot in turn.slots):
        return []
    reader = _FrameReader(context)
    for position in range(len(context.turns)):
        reader.read(position)
    return reader.frames


class _FrameReader:
    """Goes through the turns of a context and remembers the page that the agent is on."""

    def __init__(self, context: Context) -> None:
        self.frames: list[Frame] = []
        self._context = context
        self._turns = context.turns
        self._calls: dict[str, TextSlot] = {}
        self._number = 0
        self._memory = PageMemory()

    def read(self, position: int) -> None:
        turn = self._turns[position]
        if turn.role == "assistant":
            self._read_calls(turn)
        has_image = any(slot.image is not None for slot in turn.slots)
        if not has_image and turn.role != "tool":
            self._count_lines(turn)
            return
        for group in _results(turn):
            self._read_group(position, turn, group)

    def _read_calls(self, turn: Turn) -> None:
        self._calls.update((slot.call_id, slot) for slot in turn.slots if slot.kind == "tool_call" and slot.call_id)
        self._memory.read_actions(turn)

    def _count_lines(self, turn: Turn) -> None:
        for slot in turn.slots:
            self._count_line(slot)

    def _count_line(self, slot: TextSlot) -> None:
        if "[image " in slot.text and (found := _OUR_LINE.match(slot.text)):
            self._number = max(self._number, int(found[1]))

    def _read_group(self, position: int, turn: Turn, group: list[TextSlot]) -> None:
        """Reads one result of a tool, or all of a message that holds no results."""
        images = [slot for slot in group if slot.image is not None]
        call = self._call_of(group[0], position)
        in_call = read_page_labels(call.text) if call else NO_LABELS
        raw = self._read_raw(turn)
        before = self._result_before(position) if turn.role == "user" and not group[0].call_id else ()
        if not images:
            labels = raw.or_else(_read_all([slot.text for slot in group if slot.text])).or_else(in_call)
            if not labels.is_empty and works_on_page(group[0].name):
                self._memory.learn(labels)
            self._count_lines(turn)
            return
        captions = _captions(group)
        place = 0
        for slot in group:
            if slot.image is None:
                self._count_line(slot)
                continue
            self._number += 1
            texts = tuple(captions[place])
            source = find_source(turn, self._turns[position - 1] if position else None, slot, texts)
            if source == "observation":
                texts += before
            labels = raw.or_else(_read_all(texts)).or_else(in_call)
            is_shot = is_screenshot(slot, texts, labels, source, call)
            is_carried = labels.is_empty
            if is_shot:
                labels = self._memory.complete(labels)
            is_carried &= not labels.is_empty
            self.frames.append(
                Frame(
                    turn.index, slot, self._number, source, is_shot, slot.call_id, slot.name, labels, is_carried, texts,
                    call.text if call else "", place if len(images) > 1 else 0, shows_part(call),
                )
            )  # fmt: skip
            place += 1

    def _call_of(self, slot: TextSlot, position: int) -> TextSlot | None:
        if slot.call_id and slot.call_id in self._calls:
            return self._calls[slot.call_id]
        if slot.name and not slot.call_id and position:  # a legacy function call
            calls = [
                one for one in self._turns[position - 1].slots if one.kind == "tool_call" and one.name == slot.name
            ]
            return calls[-1] if calls else None
        return None

    def _result_before(self, position: int) -> tuple[str, ...]:
        """The texts of the tool result right before a user message."""
        before = self._turns[position - 1] if position else None
        if before is None or before.role != "tool":
            return ()
        return tuple(slot.text for slot in before.slots if slot.text)

    def _read_raw(self, turn: Turn) -> PageLabels:
        """Reads the URL beside a screenshot in an OpenAI `computer_call_output`, which is not a text of the message."""
        if self._context.format_name != "openai_responses" or turn.role != "tool":
            return NO_LABELS
        item = to_plain_dict(self._context.messages[turn.index]) or {}
        output = to_plain_dict(item.get("output"))
        held: dict[str, Any] = {**(output or {}), **{key: item[key] for key in ("current_url", "url") if key in item}}
        return read_page_values({key: value for key, value in held.items() if key not in ("image_url", "type")})


def _results(turn: Turn) -> Iterator[list[TextSlot]]:
    """Yields the slots of each tool result of a turn, or of the rest of it, together."""
    groups: dict[str | None, list[TextSlot]] = {}
    for slot in turn.slots:
        groups.setdefault(slot.call_id if slot.kind in ("image", "tool_result") else None, []).append(slot)
    yield from groups.values()


def _captions(group: Sequence[TextSlot]) -> list[list[str]]:
    """The texts that belong to each image of a group: all if it is alone, else those right before or after it."""
    images = [i for i, slot in enumerate(group) if slot.image is not None]
    if len(images) == 1:
        return [[slot.text for slot in group if slot.text]]
    edges = [-1, *images, len(group)]
    between = [[slot.text for slot in group[edges[i] + 1 : edges[i + 1]] if slot.text] for i in range(len(edges) - 1)]
    if not between[0] and between[-1]:  # each caption follows its image
        return between[1:]
    if not any(between[1:-1]):  # one text for all images
        return [between[0] + between[-1]] * len(images)
    return between[:-1]


def _read_all(texts: Sequence[str]) -> PageLabels:
    labels = NO_LABELS
    for text in texts:
        labels = labels.or_else(read_page_labels(text))
    return labels._replace(title=labels.title[:_MAX_TITLE])
