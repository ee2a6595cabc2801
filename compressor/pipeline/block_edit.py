"""Edits one block: encodes it losslessly, or renders an excerpt of the units and words that are kept."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from functools import cached_property

from compressor.caches import TextMemo
from compressor.context.blocks import Block
from compressor.context.refs import ANY_REF, ELLIPSIS, compute_ref, format_json_placeholder, format_placeholder
from compressor.context.results import Action
from compressor.pipeline.word_pruner import RemovableWords
from compressor.text.lossless import encode_whole, most_saved
from compressor.text.segmenters.base import Mask, SegmentedText, is_encodable
from compressor.text.segmenters.delimited_table import DelimitedTableLayout
from compressor.text.segmenters.json import JsonLayout
from compressor.text.segmenters.span_layout import SpanLayout
from compressor.tokens import TokenCounter

LOW_SCORE = "scored lower than what was kept"
_REPEATED_GAPS = re.compile(rf"{ELLIPSIS}(?:\s+{ELLIPSIS})+")
LOSSLESS = "lossless"
#: All values of a JSON text are there, but not how it was written, so the original is stored.
REFORMATTED = "reformatted"
REFORMATTED_NOTE = "only spacing "  # in the placeholder: nothing else is missing
#: The form that keeps how a text was written is not used if the one that does not is shorter than this fraction of it.
MAX_EXACT_RATIO = 0.6
_ONE = b"\x01"  # a unit that is kept, in the bytes of a mask
#: The refs of texts.
_refs: TextMemo[str] = TextMemo(compute_ref, 8 << 20)
_MAX_RENDERED = 8  # excerpts that an edit remembers: the choice is corrected in a few rounds


@dataclass(eq=False)
class BlockEdit:
    """The present state of a block that may be changed.

    Attributes:
        block: The block.
        counter: Counts tokens as the target model does.
        layout: The units of the block's text.
        original: What the ref returns: the block's text, an image part as JSON or, if the text is an excerpt already,
            what that is an excerpt of.
        is_recut: Whether the text is an excerpt already. Its placeholder is no part of `layout`.
        placeholder_units: Which units are other placeholders of ours, shape [units]; they stay if a neighbour does.
        has_placeholder: Whether the block gets a placeholder of its own where something was cut.
        action: What was done to the block.
        reason: Why, in a few words.
        keep: Which units are kept, or None before the first `apply_mask`.
        kept_count: How many they are; 0 before the first `apply_mask`.
        version: A number that grows with each change.
        removable_words: Words that may be left out of kept units.
        shortened_units: The units from which removable words were left out.
        removed_words: The words that were left out.
        line: What stands in front of the placeholder if nothing is kept: the line that a screenshot leaves behind.
        match: How well an image matches the query by its pixels, in [0, 1]; 0 if no model has looked at it.
    """

    block: Block
    counter: TokenCounter
    layout: SegmentedText
    original: str
    has_placeholder: bool = True
    is_recut: bool = False
    placeholder_units: Mask | None = None
    action: Action = "kept"
    reason: str = ""
    keep: Mask | None = None
    kept_count: int = 0
    version: int = 0
    removable_words: RemovableWords | None = None
    shortened_units: Mask | None = None
    removed_words: RemovableWords | None = None
    line: str = ""
    match: float = 0.0
    _text: str | None = field(default=None, repr=False)
    _ref: str = ""
    _placeholder_tokens: int = -1
    _rendered: dict[bytes, str] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self._text = self.block.text

    @property
    def text(self) -> str:
        """Returns the text of the block in its present state."""
        if self._text is None:
            mark = placeholder_for(self.block, self.ref)
            self._text = f"{self.line} {mark}" if self.line else mark
        return self._text

    @property
    def known_tokens(self) -> int | None:
        """Returns the tokens of the text if they are known without counting, else None."""
        if self._text is None:
            return self.placeholder_tokens if self.counter.counts_refs_alike else None
        return self.block.tokens if self._text is self.block.text else None

    @property
    def is_lossy(self) -> bool:
        """Returns whether something of the block is missing, so that its original must be stored."""
        return self.action in ("excerpt", "dropped") or self.reason == REFORMATTED

    @property
    def is_empty(self) -> bool:
        """Returns whether no unit is kept."""
        return not self.kept_count and self.keep is not None

    @property
    def is_json(self) -> bool:
        """Returns whether the block is cut by JSON values."""
        return isinstance(self.layout, JsonLayout)

    @property
    def ref(self) -> str:
        """Returns the ref of the original."""
        if not self._ref:
            self._ref = _refs[self.original]
        return self._ref

    @property
    def placeholder_tokens(self) -> int:
        """Returns the tokens of what is left if nothing is kept. All refs have as many digits, so any ref will do."""
        if not self.has_placeholder:
            return 0
        if self._placeholder_tokens < 0:
            text = _ANY_JSON_PLACEHOLDER if self.block.kind == "tool_call" else _ANY_PLACEHOLDER
            text = f"{self.line} {text}" if self.line else text
            self._placeholder_tokens = self.counter.count(text)
        return self._placeholder_tokens

    @cached_property
    def lossless_candidates(self) -> str | None:
        """Returns the shortest form with everything in it that needs no other block, or None if none is shorter."""
        if self.block.kind in ("tool_call", "image", "example"):
            return None
        if is_encodable(self.layout):
            if self.is_recut:
                return None
            exact = self._rebuildable
            if exact is not None and len(exact) <= MAX_EXACT_RATIO * len(self.block.text):
                return exact
            values = self._reformatted
            is_better = values is not None and (exact is None or len(values) <= MAX_EXACT_RATIO * len(exact))
            return values if is_better else exact
        encoded, codecs = encode_whole(self.block.text)
        return encoded if codecs else None

    @property
    def most_saved_losslessly(self) -> int:
        """Returns a number that `lossless_candidates` cannot save more characters than, without making them."""
        if self.block.kind in ("tool_call", "image", "example"):
            return 0
        if is_encodable(self.layout):
            return 0 if self.is_recut else len(self.block.text)
        return most_saved(self.block.text)

    @cached_property
    def _rebuildable(self) -> str | None:
        """A shorter form of a JSON text from which its very bytes can be rebuilt."""
        return self.layout.encode_exactly() if is_encodable(self.layout) else None

    @cached_property
    def _reformatted(self) -> str | None:
        """All values of a JSON text, and a placeholder for how it was written."""
        if not is_encodable(self.layout) or (text := self.layout.encode_values()) is None:
            return None
        if self.has_placeholder and self.is_json:
            text = append_json_placeholder(text, self.ref, REFORMATTED_NOTE)
        elif self.has_placeholder:
            end = format_placeholder(self.ref).replace(ELLIPSIS, f"{ELLIPSIS}{REFORMATTED_NOTE}")
            text = append_placeholder(text, end)
        return text if len(text) < len(self.block.text) else None

    def apply_lossless(self, encoded: str | None) -> None:
        """Replaces the text by a form with everything in it, or by the original if `encoded` is None."""
        self.version += 1
        self._text = self.block.text if encoded is None else encoded
        self.action, self.reason = ("kept", "") if encoded is None else ("folded", self._lossless_reason(encoded))

    def _lossless_reason(self, text: str) -> str:
        if not is_encodable(self.layout) or text == self._rebuildable:
            return LOSSLESS
        return REFORMATTED if text == self._reformatted else LOSSLESS

    def drop_costly_header(self, max_tokens: float) -> None:
        """Lets the rows of a table be kept without its header if that has more tokens than given."""
        layout = self.layout
        if layout.kind != "table" or self.placeholder_units is not None or self.block.tokens <= max_tokens:
            return
        if not isinstance(layout, (SpanLayout, DelimitedTableLayout)):
            return
        if layout.header_text and self.counter.count(layout.header_text) > max_tokens:
            self.layout = layout.without_header()

    def restore(self, reason: str) -> None:
        """Replaces the text by the block's own.

        Args:
            reason: Why.
        """
        self.version += 1
        self._text, self.action, self.reason, self.removed_words = self.block.text, "kept", reason, None

    def drop(self, text: str = "") -> None:
        """Marks the block as dropped with its whole message.

        Args:
            text: The placeholder that stands for a run of messages, where the block carries it.
        """
        self.version += 1
        self._text, self.action, self.reason, self.removed_words = text, "dropped", LOW_SCORE, None

    def apply_mask(self, keep: Mask, shortened: Mask | None = None) -> None:
        """Replaces the text by an excerpt.

        Args:
            keep: The units to keep, shape [units]. Their ancestors are kept, too.
            shortened: The units to keep without their removable words, or None for none.
        """
        self.version += 1
        key = keep.tobytes()
        count, size = key.count(_ONE), len(key)
        self.keep, self.kept_count, self.shortened_units, self.removed_words = keep, count, shortened, None
        if not count and size:
            self._drop_units()
            return
        if (
            self.removable_words is not None
            and shortened is not None
            and len(removed := self.removable_words.for_units(keep & shortened))
        ):
            self.removed_words = removed
            key += (keep & shortened).tobytes()
        text = self._rendered.get(key)
        if text is None:
            if len(self._rendered) > _MAX_RENDERED:
                self._rendered.clear()
            text = self._rendered[key] = self._render(keep)
        self._text = text
        if text == self.block.text:
            self.action, self.reason, self.removed_words = "kept", "", None
        elif count == size and self.removed_words is None:
            self.action, self.reason = "folded", self._lossless_reason(text)
        else:
            self.action, self.reason = "excerpt", f"{count} of {size} units kept"
            if self.removed_words is not None:
                self.reason += f", {len(self.removed_words)} words of them left out"

    def _drop_units(self) -> None:
        """Replaces the text by its placeholder, which is written when it is asked for, if that is shorter."""
        is_placeholder = self.placeholder_units is not None and bool(self.placeholder_units.all())
        if is_placeholder or self.placeholder_tokens >= self.block.tokens:
            self._text, self.action, self.reason = self.block.text, "kept", ""
        else:
            self._text = None if self.has_placeholder else ""
            self.action, self.reason = "dropped", LOW_SCORE

    def source_spans(self, first: int, last: int) -> list[tuple[int, int]]:
        """Returns the spans of the units [first, last) in the block's text, neighbours joined."""
        spans = self.layout.source_spans
        out: list[tuple[int, int]] = []
        for start, end in sorted(s for u in range(first, last) for s in spans[u]):
            if out and start - out[-1][1] <= 3:  # A comma and white space do not separate neighbours.
                out[-1] = (out[-1][0], max(end, out[-1][1]))
            else:
                out.append((start, end))
        return out

    def _render(self, keep: Mask) -> str:
        if self.kept_count == len(keep) and self.removed_words is None:
            return self.lossless_candidates or self.block.text
        if self.removed_words is not None and isinstance(self.layout, SpanLayout):
            text = self.layout.render(keep, self.removed_words.spans)
        else:
            text = self.layout.render(keep)
        if self.is_recut and not self.is_json:
            text = _REPEATED_GAPS.sub(ELLIPSIS, text)
        if self.has_placeholder:
            end = format_placeholder(self.ref, self.removed_words is not None)
            text = append_json_placeholder(text, self.ref) if self.is_json else append_placeholder(text, end)
        return text if len(text) < len(self.block.text) else self.block.text


def placeholder_for(block: Block, ref: str) -> str:
    """Returns what is left if nothing of the block is kept.

    An existing placeholder in the text may be forged, so the whole block, placeholder included, gets a new ref.
    """
    return _json_placeholder_object(ref) if block.kind == "tool_call" else format_placeholder(ref)


def _json_placeholder_object(ref: str) -> str:
    return json.dumps({ELLIPSIS: format_json_placeholder(ref)}, ensure_ascii=False)


_ANY_PLACEHOLDER, _ANY_JSON_PLACEHOLDER = format_placeholder(ANY_REF), _json_placeholder_object(ANY_REF)


def append_placeholder(text: str, end: str) -> str:
    """Returns an excerpt with its placeholder on a line of its own, or at the end of a single line.

    An ellipsis at the end is replaced by the placeholder.
    """
    body = text.rstrip()
    if body.endswith(ELLIPSIS):
        body = body[: -len(ELLIPSIS)].rstrip()
    return f"{body}{chr(10) if chr(10) in text else ' '}{end}"


def append_json_placeholder(text: str, ref: str, what: str = "") -> str:
    """Returns a JSON excerpt with its placeholder as the last member or item, so that it still parses.

    Args:
        text: The excerpt.
        ref: The ref of the original.
        what: What was cut, if nothing of the values was.
    """
    close = text[-1]
    empty = text[-2] in "{["
    placeholder = f"{what}{format_json_placeholder(ref)}"
    item = f'"…":"{placeholder}"' if close == "}" else f'"{placeholder}"'
    return f"{text[:-1]}{'' if empty else ','}{item}{close}"
