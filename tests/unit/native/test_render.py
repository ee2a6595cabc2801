"""The kernel `render` against its twins: any text, tiled anywhere, any mask, parents, closers and removed words."""

from __future__ import annotations

import random
from itertools import pairwise

import numpy as np
import pytest

from compressor.pipeline.output_validation import word_splits
from compressor.text.segmenters import segment_text
from compressor.text.segmenters.json import with_ancestors
from compressor.text.segmenters.span_layout import SpanLayout, gap_sign
from support.native_kernels import kernel_or_skip
from support.property_tests import given, settings, st

NATIVE = kernel_or_skip("render")

PARTS = [
    "a", "word", " ", "\t", "\n", "\r\n", "\r", "\n\n\n", "}", "_", "9", "é", "日本", "๒", "\u0e00", "\u0dff", "٣", "½",
    "\U0001f600", "\ud800", "\udfff", "\u2028", "\x1c", "\x85", "\u3000", "…", "  x", "\nindented",
]  # fmt: skip
TEXTS = st.lists(st.sampled_from(PARTS), max_size=40).map("".join) | st.text(max_size=60)


def layout_of(text: str, cuts: random.Random) -> SpanLayout:
    """Returns units of any size, with parents before their children and closers anywhere."""
    inner = sorted(cuts.sample(range(1, len(text)), min(cuts.randrange(12), len(text) - 1))) if len(text) > 1 else []
    first = [0, *inner] if text else []
    n = len(first)
    spans = np.array(list(pairwise([*first, len(text)])), np.int32).reshape(-1, 2)
    parents = np.array([cuts.randrange(-1, i) if i and cuts.random() < 0.4 else -1 for i in range(n)], np.int32)
    closes = None
    if n and cuts.random() < 0.5:
        closes = np.array([cuts.randrange(n) if cuts.random() < 0.4 else -1 for _ in range(n)], np.int32)
    return SpanLayout("prose", text, spans, parents, np.zeros(n, np.uint16), closes)


def holes_in(layout: SpanLayout, keep: np.ndarray, cuts: random.Random) -> np.ndarray | None:
    """Returns stretches of kept units, in order."""
    holes = []
    for (start, end), kept in zip(layout.spans.tolist(), keep.tolist(), strict=True):
        if kept and end - start > 1 and cuts.random() < 0.4:
            a, b = sorted(cuts.sample(range(start, end + 1), 2))
            holes.append((a, b))
    return np.array(holes, np.int32).reshape(-1, 2) if cuts.random() < 0.6 else None


def by_kernel(layout: SpanLayout, keep: np.ndarray, removed: np.ndarray | None = None) -> str:
    return str(
        NATIVE.render_spans(layout.text, layout.spans, layout.parents, layout.closes, keep.tobytes(), removed, "…")
    )


@settings(max_examples=400)
@given(TEXTS, st.integers(0, 2**32))
def test_an_excerpt_is_the_same(text: str, seed: int) -> None:
    cuts = random.Random(seed)
    layout = layout_of(text, cuts)
    for _ in range(3):
        keep = np.array([cuts.random() < 0.5 for _ in layout.spans], np.bool_)
        removed = holes_in(layout, keep, cuts) if text else None
        assert by_kernel(layout, keep, removed) == layout.render_in_python(keep, removed)
        assert layout.render(keep, removed) == layout.render_in_python(keep, removed)
        above = NATIVE.with_ancestors(layout.parents, keep.tobytes())
        assert above == with_ancestors(layout.parents, keep).tobytes()
        assert NATIVE.word_splits(text, layout.spans, keep.tobytes()) == word_splits(text, layout.spans, keep)


@settings(max_examples=300)
@given(TEXTS, st.data())
def test_the_sign_of_a_gap_is_the_same(text: str, data: st.DataObject) -> None:
    a = data.draw(st.integers(0, len(text)))
    b = data.draw(st.integers(a, len(text)))
    assert NATIVE.gap_sign(text, a, b, "…") == gap_sign(text, a, b)


def test_code_is_the_same_with_every_line_alone() -> None:
    with open(__file__, encoding="utf-8") as file:
        layout = segment_text(file.read(), "")
    assert isinstance(layout, SpanLayout)
    for unit in range(len(layout.spans)):
        keep = np.zeros(len(layout.spans), np.bool_)
        keep[unit] = True
        assert by_kernel(layout, keep) == layout.render_in_python(keep)


@pytest.mark.parametrize(
    ("spans", "parents", "closes", "keep", "removed"),
    [
        ([[0, 2]], [-1], None, b"\1\0", None),  # a mask of another length
        ([[0, 2]], [-1, -1], None, b"\1", None),
        ([[0, 1], [1, 2]], [-1, -1], [0], b"\1\0", None),
        ([[0, 1], [1, 2]], [-1, 7], None, b"\0\1", None),  # a parent that is no unit
        ([[0, 1], [1, 2]], [-1, -1], [-1, 9], b"\1\0", None),
        ([[5, 6], [1, 2]], [-1, -1], None, b"\1\0", None),  # units outside of the text
        ([[0, 1], [-4, 2]], [-1, -1], None, b"\1\0", None),
        ([[0, 1], [1, 2]], [-1, -1], None, b"\1\0", [[0, 99]]),
        ([], [], None, b"", [[0, 1]]),
    ],
)
def test_wrong_arrays_raise(
    spans: list[list[int]], parents: list[int], closes: list[int] | None, keep: bytes, removed: list[list[int]] | None
) -> None:
    with pytest.raises((ValueError, IndexError)):
        NATIVE.render_spans(
            "ab",
            np.array(spans, np.int32).reshape(-1, 2),
            np.array(parents, np.int32),
            None if closes is None else np.array(closes, np.int32),
            keep,
            None if removed is None else np.array(removed, np.int32),
            "…",
        )


def test_other_kinds_of_arrays_raise() -> None:
    with pytest.raises(ValueError, match="int32"):
        NATIVE.word_splits("ab", np.zeros((1, 2), np.int64), b"\1")
