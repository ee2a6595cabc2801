"""Recognises texts that are excerpts of ours already, so that cutting them again does not cut their placeholders.

A placeholder counts as ours only if the store has its ref and it stands where an excerpt has one. Any other is data.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from compressor.context.model import Kind
from compressor.context.refs import BRACKETED_PLACEHOLDER, ELLIPSIS, PLACEHOLDER_RE, find_closing_placeholder, find_refs
from compressor.errors import RefError, StoreError
from compressor.storage.base import BlobStore
from compressor.storage.text_values import get_text
from compressor.text.layout_cache import cached_layout, with_separate_units
from compressor.text.segmenters.base import Mask, SegmentedText
from compressor.text.segmenters.json import JsonLayout
from compressor.text.segmenters.span_layout import SpanLayout

#: Returns the text that is stored under a ref, or None.
FindText = Callable[[str], str | None]

MAX_INNER_PLACEHOLDERS = 200  # More placeholders inside one text are read as data.

_GAP = re.compile(rf'{ELLIPSIS} ?\d+ more|"{ELLIPSIS}":\d+')  # what was left out, with its number
_WORD = re.compile(r"\w+")
_INNER_PLACEHOLDER = re.compile(rf"{BRACKETED_PLACEHOLDER}[ \t]*(?=\r?\n|\Z)\r?\n?")
_NOTATION = frozenset(
    ("columns", "rows", "key", "absent", "lines", "of", "tool", "result", "again")
)  # of lossless encodings


@dataclass(frozen=True, eq=False)
class CuttableText:
    """A block's text, as it may be cut.

    Attributes:
        layout: The units of the text; the placeholder of an earlier excerpt is no part of it. For an excerpt of JSON
            they are the units of the original.
        original: What the ref of a further excerpt returns.
        is_excerpt: Whether the text is an excerpt already.
        placeholder_units: Which units are placeholders inside the text, shape [units], or None if there are none.
    """

    layout: SegmentedText
    original: str
    is_excerpt: bool = False
    placeholder_units: Mask | None = None


def open_text(text: str, kind: Kind, tool_call_text: str, find_text: FindText) -> CuttableText:
    """Returns the units of a text, and what the ref of an excerpt of it has to return.

    The excerpt of an excerpt leads to the first original, if the text really is an excerpt of it. Else it leads to the
    text, whose own placeholder leads on.

    Args:
        text: The text of the block.
        kind: The kind of the block.
        tool_call_text: The tool call that produced the text.
        find_text: Returns the text behind a ref of ours.
    """
    body, original, is_excerpt = text, text, False
    if PLACEHOLDER_RE.search(text) is None or kind == "image":
        return CuttableText(cached_layout(text, kind, tool_call_text), original)
    closing = find_closing_placeholder(text)
    if closing is not None and closing.body and (stored := find_text(closing.ref)) is not None:
        body, is_excerpt = closing.body, True
        original = stored if _is_excerpt_of(body, stored) else text
        if original is stored and body[:1] in ("{", "["):
            whole = cached_layout(stored, kind, tool_call_text)
            if isinstance(
                whole, JsonLayout
            ):  # Values are selected anew: a table's excerpt has lost some of its columns.
                return CuttableText(whole, stored, True)
    layout = cached_layout(body, kind, tool_call_text)
    if isinstance(layout, SpanLayout):
        own = [m.span() for m in _INNER_PLACEHOLDER.finditer(body)][: MAX_INNER_PLACEHOLDERS + 1]
        if len(own) <= MAX_INNER_PLACEHOLDERS:
            own = [(a, b) for a, b in own if find_text(find_refs(body[a:b])[0]) is not None]
            if own:
                layout, placeholder_units = with_separate_units(layout, own)
                return CuttableText(layout, original, is_excerpt, placeholder_units)
    return CuttableText(layout, original, is_excerpt)


def _is_excerpt_of(body: str, original: str) -> bool:
    """Returns whether everything in a text stands in the original, letter for letter or, in rebuilt texts, by word."""
    body = _GAP.sub(ELLIPSIS, body)
    pieces = [piece for part in body.split(ELLIPSIS) if (piece := part.strip())]
    if all(piece in original for piece in pieces):
        return True
    return _words(body) <= _words(original) | _NOTATION


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text))


def text_finder(store: Callable[[], BlobStore]) -> FindText:
    """Returns a function that reads texts of ours.

    Args:
        store: Returns the store. It is called only if there is a ref to look up.
    """
    found: dict[str, str | None] = {}

    def find(ref: str) -> str | None:
        if ref not in found:
            try:
                found[ref] = get_text(store(), ref)
            except (RefError, StoreError, UnicodeDecodeError):
                found[ref] = None
        return found[ref]

    return find


def is_own_excerpt(text: str, find_text: FindText) -> bool:
    """Returns whether a text ends with a placeholder of ours."""
    closing = find_closing_placeholder(text)
    return closing is not None and find_text(closing.ref) is not None


def is_own_run(text: str, find_text: FindText) -> bool:
    """Returns whether a text is nothing but the placeholder of ours for one text or for a run of messages."""
    closing = find_closing_placeholder(text)
    return closing is not None and not closing.body and find_text(closing.ref) is not None
