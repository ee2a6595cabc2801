"""Checks each changed block before it leaves. A block that fails goes out unchanged, or as its placeholder.

Budget, call pairs and order are proven on the rendered context (see `messages`). Lossless codecs verify themselves.
`word_splits` has a native kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from compressor.context.refs import find_refs, format_placeholder
from compressor.native import load_kernel
from compressor.pipeline.block_edit import BlockEdit
from compressor.pipeline.protected_words import is_word
from compressor.text.lossless.json_values import parses_strictly
from compressor.text.segmenters.base import Mask, Spans
from compressor.text.segmenters.composite_layout import CompositeLayout
from compressor.text.segmenters.json import JsonLayout
from compressor.text.segmenters.span_layout import SpanLayout

_kernel = load_kernel("render")


def validate(block_edits: Sequence[BlockEdit], count_tokens: Callable[[], int], budget: int) -> list[str]:
    """Checks all changed blocks and undoes those that fail.

    Args:
        block_edits: The blocks that may have been changed.
        count_tokens: Returns the exact tokens of the whole in its present state.
        budget: The maximum tokens of the whole.

    Returns:
        A warning for each block that failed.
    """
    warnings = []
    for edit in block_edits:
        if edit.action != "excerpt":
            continue
        fix_word_splits(edit)
        fault = find_fault(edit)
        if fault is None:
            continue
        edit.restore(f"guard: {fault}")
        outcome = "unchanged"
        if count_tokens() > budget:
            edit.apply_mask(np.zeros(len(edit.layout.spans), np.bool_))
            outcome = "as its placeholder, because unchanged it would not fit"
        warnings.append(f"block {edit.block.number} (message {edit.block.slot.message}): {fault}; sent {outcome}")
    return warnings


def find_fault(edit: BlockEdit) -> str | None:
    """Returns what is wrong with an excerpt, or None."""
    if edit.has_placeholder and not _has_ref(edit.text, edit.ref):
        return "the excerpt has lost its placeholder"
    if edit.removed_words is not None and not all(
        is_word(edit.block.text, a, b) for a, b in edit.removed_words.spans.tolist()
    ):
        return "a word would be cut in half"
    if isinstance(edit.layout, JsonLayout):
        texts = [edit.text]
    elif isinstance(edit.layout, CompositeLayout) and edit.keep is not None:
        texts = edit.layout.json_texts(edit.keep)
    else:
        return None
    if not all(map(parses_strictly, texts)) and not _has_constants(edit.block.text):
        return "the JSON excerpt does not parse"
    return None


def _has_ref(text: str, ref: str) -> bool:
    """Whether a text has the placeholder of a ref. It usually stands at the end."""
    return text.endswith(format_placeholder(ref)) or ref in find_refs(text)


def _has_constants(text: str) -> bool:
    """Whether a text holds NaN or Infinity, which an excerpt may hold then, too: the source was not JSON either."""
    return "NaN" in text or "Infinity" in text


def fix_word_splits(edit: BlockEdit) -> None:
    """Drops both sides of a border inside a word, number or path if only one side was kept.

    Segmenters cut between words. Only a text without any border (a line of a megabyte, say) is cut by length.
    """
    keep, layout = edit.keep, edit.layout
    if keep is None or not isinstance(layout, SpanLayout) or len(keep) < 2:
        return
    if _kernel is None:
        split = word_splits(layout.text, layout.spans, keep)
    else:
        split = _kernel.word_splits(layout.text, layout.spans, keep.tobytes())
    if split:
        fixed = keep.copy()
        for i in split:
            fixed[i] = fixed[i + 1] = False
        edit.apply_mask(fixed, edit.shortened_units)


def word_splits(text: str, spans: Spans, keep: Mask) -> list[int]:
    """Returns the units with a border inside a word behind them, of which only one side is kept.

    Args:
        text: The text.
        spans: [units, 2] where each unit stands in it.
        keep: [units] which of them are kept.
    """
    edges = np.flatnonzero(keep[1:] != keep[:-1])
    borders = zip(edges.tolist(), spans[edges, 1].tolist(), spans[edges + 1, 0].tolist(), strict=True)
    return [
        i for i, end, start in borders if end == start and _is_inside_word(text[end - 1 : end], text[end : end + 1])
    ]


def _is_inside_word(left: str, right: str) -> bool:
    """Returns whether two neighbouring characters belong to one word of a script that separates words by spaces."""
    return (
        (left.isalnum() or left == "_") and (right.isalnum() or right == "_") and left < "\u0e00" and right < "\u0e00"
    )
