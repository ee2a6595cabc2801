"""Checks each changed block before it leaves. Chooses nothing; a block that fails goes out unchanged, or as its mark.

Budget, pairs and order are proven on the rendered context by whoever renders (`messages`); folds prove themselves.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import numpy as np

from compressor.context.refs import find_refs
from compressor.pipeline.block_edit import BlockEdit
from compressor.pipeline.protected_words import is_word
from compressor.text.segmenters.json import JsonLayout
from compressor.text.segmenters.span_layout import SpanLayout


def validate(drafts: Sequence[BlockEdit], measure: Callable[[], int], budget: int) -> list[str]:
    """Checks all changed drafts, undoes those that fail, and returns what happened as warnings."""
    warnings = []
    for draft in drafts:
        if draft.action != "excerpt":
            continue
        fix_word_splits(draft)
        problem = find_fault(draft)
        if problem is None:
            continue
        draft.text, draft.action, draft.reason = draft.block.text, "kept", f"guard: {problem}"
        draft.removed_words = None
        outcome = "unchanged"
        if measure() > budget:
            draft.apply_mask(np.zeros(len(draft.layout.spans), np.bool_))
            outcome = "as its mark: unchanged it would not fit"
        warnings.append(f"block {draft.block.number} (message {draft.block.slot.message}): {problem}; sent {outcome}")
    return warnings


def find_fault(draft: BlockEdit) -> str | None:
    """What is wrong with an excerpt, or None."""
    if draft.has_placeholder and draft.ref not in find_refs(draft.text):
        return "the excerpt has lost its mark"
    if draft.removed_words is not None and not all(
        is_word(draft.block.text, a, b) for a, b in draft.removed_words.spans.tolist()
    ):
        return "a word would be cut in half"
    if isinstance(draft.layout, JsonLayout):
        try:
            json.loads(draft.text)
        except ValueError:
            return "the JSON excerpt does not parse"
    return None


def fix_word_splits(draft: BlockEdit) -> None:
    """Leaves out both sides of a border inside a word, number or path when only one side was kept.

    Segmenters cut between words; only a text without any border (a line of a megabyte, say) is cut by length.
    """
    keep, layout = draft.keep, draft.layout
    if keep is None or not isinstance(layout, SpanLayout) or len(keep) < 2:
        return
    text, spans = layout.text, layout.spans
    edges = np.flatnonzero(keep[1:] != keep[:-1])
    bad = [
        i
        for i in edges.tolist()
        if spans[i, 1] == spans[i + 1, 0]
        and _solid(text[spans[i, 1] - 1 : spans[i, 1]], text[spans[i, 1] : spans[i, 1] + 1])
    ]
    if bad:
        mended = keep.copy()
        for i in bad:
            mended[i] = mended[i + 1] = False
        draft.apply_mask(mended, draft.shortened_units)


def _solid(left: str, right: str) -> bool:
    """Whether two neighbouring characters belong to one word of a script that puts spaces between words."""
    return (
        (left.isalnum() or left == "_") and (right.isalnum() or right == "_") and left < "\u0e00" and right < "\u0e00"
    )
