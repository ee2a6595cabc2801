"""The kernel `layout` against its twin: units of any length over text with long lines, runs and encoded data."""

from __future__ import annotations

import base64
import random
from collections.abc import Callable
from typing import Any

import numpy as np

from compressor.text.segmenters import lines, long_lines, span_layout
from compressor.text.segmenters.span_layout import SpanLayout
from support.native_kernels import kernel_or_skip
from support.property_tests import given, settings, st

NATIVE = kernel_or_skip("layout")

DATA = base64.b64encode(random.Random(1).randbytes(900)).decode()
PARTS = [
    "a", "word ", "\n", "\n\n", "; ", "x" * 199, "x" * 200, "X1y" * 67, DATA[:199], DATA[:201], "<b>", "{}", "é",
    "日本" * 50, "\U0001f600", "\ud800", "a b " * 150, "0123456789abcdef" * 13, "\r\n", "=" * 61,
    "\n".join(DATA[i : i + 64] for i in range(0, 640, 64)) + "\n",
]  # fmt: skip


def same(one: SpanLayout, other: SpanLayout) -> None:
    for name in ("spans", "parents", "flags", "closes"):
        a, b = getattr(one, name), getattr(other, name)
        assert (a is None) == (b is None), name
        if a is not None:
            assert a.dtype == b.dtype, name
            assert a.tolist() == b.tolist(), name


def by_kernel(text: str, starts: Any, parents: Any, flags: Any, closes: Any, max_chars: int) -> SpanLayout | None:
    found = NATIVE.tile(
        text, starts, parents, flags, closes, max_chars, long_lines.LONG_LINE, span_layout._payload_finder
    )
    return None if found is None else SpanLayout("prose", text, *found)


def check(text: str, rng: random.Random, n: int) -> None:
    starts = sorted({0, *(rng.randrange(len(text)) for _ in range(n))}) if text else []
    n = len(starts)
    parents = [rng.randrange(-1, i) if i else -1 for i in range(n)]
    flags = [rng.randrange(512) for _ in range(n)]
    closes = [rng.randrange(-1, n) for _ in range(n)]
    for max_chars in (1200, 0, 50):
        for given_flags, given_closes in ((None, None), (flags, closes), (flags, [-1] * n)):
            arguments: tuple[Any, Any, Any] = (parents if given_flags else None, given_flags, given_closes)
            twin = span_layout._split_and_tile("prose", text, starts, *arguments, max_chars)
            kinds: list[Callable[[Any], Any]] = [list, tuple, lambda x: np.array(x, np.int32)]
            for kind in kinds:
                up, marks, mates = (None if a is None else kind(a) for a in arguments)
                if isinstance(marks, np.ndarray) and rng.random() < 0.7:
                    marks = marks.astype(np.uint16)
                found = by_kernel(text, kind(starts), up, marks, mates, max_chars)
                if found is None:
                    assert not n or len(twin.spans) > n or max(map(len, text.split("\n"))) >= 200 or len(text) > 199
                else:
                    same(found, twin)


@settings(max_examples=150)
@given(st.lists(st.sampled_from(PARTS), max_size=20).map("".join), st.integers(0, 12), st.integers(0, 99))
def test_units_are_laid_out_like_the_twin_does(text: str, n: int, seed: int) -> None:
    check(text, random.Random(seed), n)


@settings(max_examples=100)
@given(st.text(st.characters(), max_size=300), st.integers(0, 12))
def test_units_of_any_text_are_laid_out_like_the_twin_does(text: str, n: int) -> None:
    check(text, random.Random(n), n)


@settings(max_examples=200)
@given(st.lists(st.sampled_from(PARTS), max_size=20).map("".join))
def test_lines_of_base64_are_found_in_every_text_that_has_some(text: str) -> None:
    if long_lines._ENCODED_LINES.search(text):
        assert long_lines._may_have_encoded_line is not None
        assert long_lines._may_have_encoded_line(text)


def test_wrong_arrays_are_left_to_the_twin() -> None:
    for starts in ([0, 9], [0, 3, 2], ["a"], [0, 1 << 40], np.array([0, 2], np.int64), np.array([[0], [1]], np.int32)):
        assert by_kernel("abc", starts, None, None, None, 1200) is None
    assert by_kernel("abc", [0, 1], [-1], None, None, 1200) is None
    assert by_kernel("abc", [0, 1], None, [1 << 16, 0], None, 1200) is None
    assert by_kernel("abc", [], None, None, None, 1200) is None


def test_a_finder_of_runs_finds_every_run() -> None:
    for size in (1, 2, 7):
        finder = NATIVE.RunFinder("ab", size)
        for before in range(10):
            for length in range(10):
                text = "c" * before + "ab" * 5
                text = text[: before + length] + "é"
                assert finder.search(text) == (length >= size)


@settings(max_examples=200)
@given(st.one_of(st.text("a\n\r\u2028é日\U0001f600", max_size=40), st.text(st.characters(), max_size=60)))
def test_lines_begin_where_the_twin_says(text: str) -> None:
    found, twin = NATIVE.line_starts(text), lines._find_lines(text)
    assert found.dtype == twin.dtype
    assert found.tolist() == twin.tolist()
