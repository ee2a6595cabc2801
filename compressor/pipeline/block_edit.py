"""One block on its way through the pipeline: what it may become and what it becomes.

Renders single blocks from masks. Knows no budget and does not choose what to keep.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from compressor.context.blocks import Block
from compressor.context.refs import ELLIPSIS, REF_DIGITS, compute_ref, format_json_placeholder, format_placeholder
from compressor.context.results import Action
from compressor.pipeline.word_pruner import RemovableWords
from compressor.text.lossless import encode_losslessly as fold_text
from compressor.text.lossless.json_tables import encode_parsed
from compressor.text.segmenters.base import Mask, SegmentedText
from compressor.text.segmenters.json import JsonLayout
from compressor.text.segmenters.span_layout import SpanLayout
from compressor.tokens import TokenCounter

_ANY_REF = "0" * REF_DIGITS


@dataclass(eq=False)
class BlockEdit:
    """A block that may be touched. `after` and `action` are its present state."""

    block: Block
    counter: TokenCounter
    layout: SegmentedText
    original: str  # what the ref gives back; the block's text, or an image part as JSON
    has_placeholder: bool = True  # whether a mark of its own stands where something was cut
    text: str = ""
    action: Action = "kept"
    reason: str = ""
    keep: Mask | None = None
    removable_words: RemovableWords | None = None  # words that may be left out of kept units,
    shortened_units: Mask | None = None  # in which units they are,
    removed_words: RemovableWords | None = None  # and which they are, if there are any
    _rendered: dict[bytes, str] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self.text = self.block.text

    @property
    def is_lossy(self) -> bool:
        """Whether something of the block is missing, and its original therefore has to be kept."""
        return self.action in ("excerpt", "dropped")

    @property
    def is_json(self) -> bool:
        return isinstance(self.layout, JsonLayout)

    @cached_property
    def ref(self) -> str:
        return compute_ref(self.original)

    @property
    def placeholder_tokens(self) -> int:
        """Tokens of what is left when nothing is kept. (All refs have as many digits, so any will do.)"""
        if not self.has_placeholder:
            return 0
        return self.counter.count(placeholder_for(self.block, _ANY_REF))

    @cached_property
    def lossless_candidates(self) -> str | None:
        """The block's lossless form, if it has one that is shorter. Stands on its own: needs no other block."""
        if self.block.kind in ("tool_call", "image", "example"):
            return None
        if isinstance(self.layout, JsonLayout):
            return encode_parsed(self.block.text, self.layout.parsed)
        folded, names = fold_text(self.block.text)
        return folded if names else None

    def apply_lossless(self, folded: str | None) -> None:
        """Takes a lossless form, or with None the original again."""
        self.text = self.block.text if folded is None else folded
        self.action, self.reason = ("kept", "") if folded is None else ("folded", "lossless")

    def apply_mask(self, keep: Mask, short: Mask | None = None) -> None:
        """Takes the state in which exactly the units in `keep` (and their ancestors) are there, those in `short`
        without the words that may go."""
        self.keep, self.shortened_units, self.removed_words = keep, short, None
        key = np.packbits(keep).tobytes()
        if (
            self.removable_words is not None
            and short is not None
            and len(gone := self.removable_words.for_units(keep & short))
        ):
            self.removed_words = gone
            key += np.packbits(keep & short).tobytes()
        text = self._rendered.get(key)
        if text is None:
            if len(self._rendered) > 8:
                self._rendered.clear()
            text = self._rendered[key] = self._render(keep)
        self.text = text
        if text == self.block.text:
            self.action, self.reason, self.removed_words = "kept", "", None
        elif keep.all() and self.removed_words is None:
            self.action, self.reason = "folded", "lossless"
        elif not keep.any():
            self.action, self.reason = "dropped", "worth less than what was kept"
        else:
            self.action, self.reason = "excerpt", f"{int(keep.sum())} of {len(keep)} units kept"
            if self.removed_words is not None:
                self.reason += f", {len(self.removed_words)} words of them left out"

    def source_spans(self, first: int, last: int) -> list[tuple[int, int]]:
        """Where the units [first, last) stand in the block's text, neighbours joined."""
        spans = self.layout.source_spans
        out: list[tuple[int, int]] = []
        for start, end in sorted(s for u in range(first, last) for s in spans[u]):
            if out and start - out[-1][1] <= 3:  # a comma and white space
                out[-1] = (out[-1][0], max(end, out[-1][1]))
            else:
                out.append((start, end))
        return out

    def _render(self, keep: Mask) -> str:
        if keep.all() and self.removed_words is None:
            return self.lossless_candidates or self.block.text
        if not keep.any():
            return placeholder_for(self.block, self.ref) if self.has_placeholder else ""
        if self.removed_words is not None and isinstance(self.layout, SpanLayout):
            text = self.layout.render(keep, self.removed_words.spans)
        else:
            text = self.layout.render(keep)
        if self.has_placeholder:
            end = format_placeholder(self.ref, self.removed_words is not None)
            text = append_json_placeholder(text, self.ref) if self.is_json else append_placeholder(text, end)
        return text if len(text) < len(self.block.text) else self.block.text


def placeholder_for(block: Block, ref: str) -> str:
    """What is left when nothing of the block is kept. A block that was cut before gets a ref of its own like any other:
    the mark inside it may be anyone's, and behind the new ref it is still there."""
    return _json_stub(ref) if block.kind == "tool_call" else format_placeholder(ref)


def _json_stub(ref: str) -> str:
    return json.dumps({ELLIPSIS: format_json_placeholder(ref)}, ensure_ascii=False)


def append_placeholder(text: str, end: str) -> str:
    """An excerpt with its mark on a line of its own, or at the end of a single line; a last gap becomes the mark."""
    body = text.rstrip()
    if body.endswith(ELLIPSIS):
        body = body[: -len(ELLIPSIS)].rstrip()
    return f"{body}{chr(10) if chr(10) in text else ' '}{end}"


def append_json_placeholder(text: str, ref: str) -> str:
    """A JSON excerpt with its mark as last member or item, so that it still parses."""
    close = text[-1]
    empty = text[-2] in "{["
    item = f'"…":"{format_json_placeholder(ref)}"' if close == "}" else f'"{format_json_placeholder(ref)}"'
    return f"{text[:-1]}{'' if empty else ','}{item}{close}"
