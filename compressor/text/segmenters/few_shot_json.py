"""Examples that are records of a JSON array, and the units of such an array.

What is left of the array is valid JSON: records are left out with their commas.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from compressor.text.segmenters.base import Mask, Spans
from compressor.text.segmenters.few_shot_words import NOUN, OUT_LABELS
from compressor.text.segmenters.span_layout import SpanLayout

_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[\s,]*")
_OPEN_FENCE = re.compile(r"(?:```|~~~)\w*[ \t]*\n\s*$")
_CLOSE_FENCE = re.compile(r"\s*\n[ \t]*(?:```|~~~)[ \t]*(?=\n|$)")
_NAMED = re.compile(r"\{\s*\"(?P<name>[^\"\n]{1,40})\"\s*:\s*(?=\[)")
_FENCED_ARRAY = re.compile(r"(?:(?:```|~~~)\w*[ \t]*\n)?\s*(?P<object>\{\s*\"[^\"\n]{1,40}\"\s*:\s*)?\[")
_WORD = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True, slots=True)
class JsonExamples:
    """A JSON array of records.

    Attributes:
        start: Where the block begins: at the array, its object or its fence.
        items: Start and end of each example.
        end: Where the block ends.
        is_talk: Whether the records are turns of one conversation.
    """

    start: int
    items: tuple[tuple[int, int], ...]
    end: int
    is_talk: bool = False


def read_json_array(text: str, start: int) -> JsonExamples | None:
    """Returns the JSON array of examples at an offset, or None if no such array begins there."""
    named = _NAMED.match(text, start)
    if named is not None and not NOUN.search(named["name"].replace("_", " ")):
        return None
    at = named.end() if named is not None else start
    if text[at : at + 1] != "[":
        return None
    items: list[tuple[int, int, Any]] = []
    at = _skip(text, at + 1)
    while at < len(text) and text[at] != "]":
        try:
            value, end = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            return None
        items.append((at, end, value))
        at = _skip(text, end)
    if at >= len(text) or not is_list_of_examples([value for _, _, value in items]):
        return None
    end = at + 1
    if named is not None:
        end = _skip(text, end)
        if text[end : end + 1] != "}":  # the object says more than its examples
            return None
        end += 1
    spans = [(first, last) for first, last, _ in items]
    talk = _is_talk(items[0][2])
    if talk:
        spans = _pairs([(first, last, str(value.get("role"))) for first, last, value in items])
        if len(spans) < 2:
            return None
    fence = _OPEN_FENCE.search(text, max(0, start - 40), start)
    close = _CLOSE_FENCE.match(text, end)
    if fence is not None and close is not None:
        return JsonExamples(fence.start(), tuple(spans), close.end(), talk)
    return JsonExamples(start, tuple(spans), end, talk)


def find_named_arrays(text: str) -> list[JsonExamples]:
    """Returns the arrays of examples that are objects of their own: `{"examples": [...]}`."""
    return [found for match in _NAMED.finditer(text) if (found := read_json_array(text, match.start())) is not None]


def is_list_of_examples(values: list[Any]) -> bool:
    """Returns whether JSON values are records of one form: two texts each, or with an answer."""
    if len(values) < 2 or not all(isinstance(value, dict) for value in values):
        return False
    keys = set(values[0])
    if any(set(value) != keys for value in values):
        return False
    if _is_talk(values[0]):
        return True
    if "messages" in keys:
        return all(isinstance(value["messages"], list) and len(value["messages"]) > 1 for value in values)
    if len(keys) == 2 and all(isinstance(field, str) for value in values for field in value.values()):
        return True
    words = {word for key in keys for word in _WORD.findall(key.lower())}
    return len(keys) > 1 and bool(words & OUT_LABELS)


def _is_talk(value: Any) -> bool:
    return isinstance(value, dict) and set(value) == {"role", "content"}


def _pairs(turns: list[tuple[int, int, str]]) -> list[tuple[int, int]]:
    """The spans of a user's turn and its answer; empty if the turns are not all such pairs."""
    roles = [role for _, _, role in turns]
    if len(turns) % 2 or roles != ["user", "assistant"] * (len(turns) // 2):
        return []
    return [(a[0], b[1]) for a, b in zip(turns[::2], turns[1::2], strict=True)]


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


@dataclass(slots=True, eq=False)
class JsonExampleLayout(SpanLayout):
    """Records of a JSON array as units; see `SegmentedText`.

    Attributes:
        items: [n, 2] the place of each record without the text around it.
    """

    items: npt.NDArray[np.int32] | None = None

    def render(self, keep: Mask, removed: Spans | None = None) -> str:
        """Writes the array with the kept records only. Nothing else marks what was left out."""
        kept = np.flatnonzero(keep).tolist()
        if self.items is None or len(kept) == len(self.spans):
            return self.text
        items = self.items.tolist()
        between = self.text[items[0][1] : items[1][0]]
        records = [self.text[items[k][0] : items[k][1]] for k in kept]
        return self.text[: items[0][0]] + between.join(records) + self.text[items[-1][1] :]


def json_example_layout(text: str) -> JsonExampleLayout | None:
    """Returns the records of a text that is a JSON array of examples and nothing else, or None."""
    head = _FENCED_ARRAY.match(text)
    if head is None:
        return None
    start = head.start("object") if head["object"] else head.end() - 1
    found = read_json_array(text, start)
    if found is None or found.start != 0 or found.end != len(text):
        return None
    items = np.array(found.items, np.int32)
    starts = items[:, 0].copy()
    starts[0] = 0
    spans = np.stack((starts, np.append(starts[1:], np.int32(len(text)))), axis=1).astype(np.int32)
    size = len(items)
    return JsonExampleLayout(
        "example", text, spans, np.full(size, -1, np.int32), np.zeros(size, np.uint16), None, items
    )
