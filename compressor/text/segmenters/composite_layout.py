"""The `SegmentedText` of a text that consists of parts of different types, such as JSON after a line of text."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from compressor.caches import held_bytes
from compressor.context.refs import ELLIPSIS
from compressor.text.segmenters.base import Mask, SegmentedText, Spans
from compressor.text.segmenters.embedded_json import JsonPart
from compressor.text.segmenters.json import JsonLayout

MAX_WRAPPER_CHARS = 120  # a text around JSON up to this length is no unit: it stays whenever some of the JSON stays
MAX_DROPPED_WRAPPERS = 2  # with more parts than this, those of which nothing stays lose their wrapper, too
# What closes a value: `);` of a call, the rest of a fence or a tag.
_CLOSING = re.compile(
    r"[ \t]*[)\]};,]{0,4}[ \t]*(?:\r?\n[ \t]*(?:`{3,}|~{3,}|</[\w:.-]{1,60}>)[ \t]*(?=\r?\n|\Z)|</[\w:.-]{1,60}>)?"
)
# What opens one: a fence or a tag on the line before, and the beginning of its own line.
_OPENING = re.compile(r"(?:(?:^|(?<=\n))[ \t]*(?:`{3,}|~{3,}|<[\w:.-]{1,60}[^<>\n]{0,60}>)[^\n]{0,40}\n)?[^\n]{0,60}\Z")


@dataclass(frozen=True, slots=True)
class CompositePart:
    """A part of a composite text.

    Attributes:
        layout: Its units.
        offset: Where its source begins in the whole.
        opening: What stands before it and stays with it.
        closing: What stands after it and stays with it.
    """

    layout: SegmentedText
    offset: int
    opening: str = ""
    closing: str = ""


class CompositeLayout:
    """A `SegmentedText` of several parts; JSON parts are cut by values and render as JSON.

    Attributes:
        kind: "json", because most of it is.
        text: The texts of all units.
    """

    kind = "json"

    def __init__(self, source: str, parts: Sequence[CompositePart]) -> None:
        self.source = source
        self.parts = parts
        layouts = [p.layout for p in parts]
        self.text = "".join(x.text for x in layouts)
        sizes = [len(x.spans) for x in layouts]
        self._starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64).tolist()
        texts = np.concatenate([[0], np.cumsum([len(x.text) for x in layouts])]).tolist()
        self.spans: Spans = np.concatenate(
            [(x.spans + at).astype(np.int32) for x, at in zip(layouts, texts, strict=False)]
        ).astype(np.int32)
        self.parents: npt.NDArray[np.int32] = np.concatenate(
            [np.where(x.parents >= 0, x.parents + at, -1) for x, at in zip(layouts, self._starts, strict=False)]
        ).astype(np.int32)
        self.flags: npt.NDArray[np.uint16] = np.concatenate([x.flags for x in layouts]).astype(np.uint16)

    @property
    def size_bytes(self) -> int:
        """About how many bytes of memory it holds, with its parts."""
        parts = sum(part.layout.size_bytes + held_bytes((part.opening, part.closing)) for part in self.parts)
        return 2 * parts + held_bytes((self.source, self.text))

    @cached_property
    def columns(self) -> npt.NDArray[np.int32]:
        """[n] the index into `column_names` of each unit's column; see `SegmentedText.columns`."""
        at, out = 0, []
        for part in self.parts:
            own = part.layout.columns
            out.append(np.where(own >= 0, own + at, -1))
            at += len(part.layout.column_names)
        return np.concatenate(out).astype(np.int32)

    @cached_property
    def column_names(self) -> Sequence[str]:
        """The names of the columns."""
        return [name for part in self.parts for name in part.layout.column_names]

    @cached_property
    def records(self) -> npt.NDArray[np.int32]:
        """[n] the unit that represents each unit's record; see `SegmentedText.records`."""
        parts = zip(self.parts, self._starts, strict=False)
        return np.concatenate([part.layout.records + at for part, at in parts]).astype(np.int32)

    @cached_property
    def source_spans(self) -> Sequence[Sequence[tuple[int, int]]]:
        """The ranges of the source that each unit stands for."""
        return [
            [(a + part.offset, b + part.offset) for a, b in spans]
            for part in self.parts
            for spans in part.layout.source_spans
        ]

    def render(self, keep: Mask) -> str:
        """Writes the kept units; the exact source if everything is kept."""
        if keep.all():
            return self.source
        out: list[str] = []
        for part, mask in self._masks(keep):
            if isinstance(part.layout, JsonLayout):
                if not mask.any() and len(self.parts) > MAX_DROPPED_WRAPPERS:
                    text = f"{ELLIPSIS}\n" if part.opening.startswith("\n") or "\n" in part.closing else ELLIPSIS
                else:
                    text = part.opening + part.layout.write(mask) + part.closing
            else:
                text = part.layout.render(mask)
            if text.strip() != ELLIPSIS or not out or out[-1].strip() != ELLIPSIS:
                out.append(text)
        return "".join(out)

    def json_texts(self, keep: Mask) -> list[str]:
        """Returns the JSON parts of which something is kept, as they are rendered."""
        return [
            part.layout.write(mask)
            for part, mask in self._masks(keep)
            if isinstance(part.layout, JsonLayout) and mask.any()
        ]

    def encode_exactly(self) -> str | None:
        """Returns a shorter text from which the source can be rebuilt, or None."""
        return self._encode(JsonLayout.encode_exactly)

    def encode_values(self) -> str | None:
        """Returns a shorter text with all values, of which the way it was written is lost, or None."""
        return self._encode(lambda layout: min(layout.encode_exactly() or "", layout.encode_values() or "", key=_size))

    def _encode(self, encode: Callable[[JsonLayout], str | None]) -> str | None:
        out: list[str] = []
        for part in self.parts:
            text = part.layout.render(np.ones(len(part.layout.spans), np.bool_))
            if isinstance(part.layout, JsonLayout):
                text = encode(part.layout) or text
            out.append(part.opening + text + part.closing)
        encoded = "".join(out)
        return encoded if len(encoded) < len(self.source) else None

    def _masks(self, keep: Mask) -> list[tuple[CompositePart, Mask]]:
        starts = self._starts
        return [(part, keep[a:b]) for part, a, b in zip(self.parts, starts, starts[1:], strict=False)]


def composite_layout(
    text: str, found: Sequence[JsonPart], segment: Callable[[str], SegmentedText]
) -> CompositeLayout | JsonLayout:
    """Divides a text that is mostly JSON into units.

    Args:
        text: The text.
        found: The JSON in it; at least one part.
        segment: Divides what is not JSON, and long strings inside JSON.
    """
    if len(found) == 1 and not found[0].parsed.is_torn and not _words(text, found[0]):
        return JsonLayout(text, found[0].parsed, segment)
    parts: list[CompositePart] = []
    opening, at = "", 0
    for i, part in enumerate(found):
        if i == 0:
            between = text[: part.start]
            opening = between if len(between) <= MAX_WRAPPER_CHARS else _opening(between)
            _add_text(parts, between[: len(between) - len(opening)], 0, segment)
        after = text[part.end : found[i + 1].start if i + 1 < len(found) else len(text)]
        is_last = i + 1 == len(found)
        if is_last and len(after) <= MAX_WRAPPER_CHARS:
            closing, following = after, ""
        else:
            matched = _CLOSING.match(after)
            closing = matched.group() if matched and not part.parsed.is_torn else ""
            rest = after[len(closing) :]
            following = "" if is_last else rest if len(rest) <= MAX_WRAPPER_CHARS else _opening(rest)
        layout = JsonLayout(text[part.start : part.end], part.parsed, segment)
        parts.append(CompositePart(layout, part.start, opening, closing))
        at = part.end + len(closing)
        _add_text(parts, after[len(closing) : len(after) - len(following)], at, segment)
        opening = following
    return CompositeLayout(text, parts)


def _size(text: str) -> float:
    return len(text) or math.inf


def _words(text: str, part: JsonPart) -> bool:
    """Whether anything but white space stands around the only part."""
    return bool((text[: part.start] + text[part.end :]).strip(" \t\r\n\ufeff"))


def _opening(text: str) -> str:
    found = _OPENING.search(text[-200:])
    return found.group() if found else ""


def _add_text(parts: list[CompositePart], text: str, offset: int, segment: Callable[[str], SegmentedText]) -> None:
    if text:
        parts.append(CompositePart(segment(text), offset))
