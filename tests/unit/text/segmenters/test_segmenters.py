"""What every segmenter owes: units that tile the text, the text back, parents before children, linear time."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from compressor.context.refs import ELLIPSIS
from compressor.text.segmenters import detect_content_type, find_pasted_content, segment_speech, segment_text
from compressor.text.segmenters.base import UnitFlag
from compressor.text.segmenters.span_layout import MAX_UNIT_CHARS, SpanLayout, build_layout, length_splits
from support.cpu_time import cpu_time_below
from support.property_tests import given, settings, st
from support.segment_tools import units

MODULES = {name: name for name in ("prose", "log", "trace", "diff", "table", "search", "html", "code")} | {
    "markdown": "markdown",
    "prose": "sentences",
    "trace": "traceback",
    "search": "search_results",
}

FUNCTIONS = {"search": "search_results", "trace": "traceback"}


def segmenter(kind: str) -> Callable[[str], SpanLayout]:
    module = importlib.import_module(f"compressor.text.segmenters.{MODULES[kind]}")
    found: Callable[[str], SpanLayout] = getattr(module, f"segment_{FUNCTIONS.get(kind, kind)}")
    return found


def check_tiling(found: SpanLayout, text: str) -> None:
    spans = found.spans
    n = len(spans)
    assert found.text == text
    assert spans.shape == (n, 2) and found.parents.shape == found.flags.shape == (n,)
    assert "".join(units(found)) == text
    assert n == 0 or (spans[:, 0] < spans[:, 1]).all()
    assert (found.parents < np.arange(n)).all() and (found.parents >= -1).all()
    assert found.render(np.ones(n, np.bool_)) == text
    if found.closes is not None:
        assert ((found.closes >= -1) & (found.closes < n)).all()


FRAGMENTS = [
    "\n", "\n\n", "\r\n", " ", "    ", "\t", "a", "Word ", "word. Next ", "3.14", "https://a.b/c?d=e ", "e.g. ",
    "J. Doe ", "。", "好", "؟ ", "।", "สวัสดี ", "\ud83d", "\ude00", "\U0001f600", "\0", "\x1b[31m", "{", "}", "[", "]",
    "(", ")", '"', "'", '"""', "```", "~~~", "`", "# ", "## h\n", "- ", "1. ", "| a | b |\n", "|---|---|\n",
    "+---+\n", "a,b,c\n", '"x, y",', "def f(x):\n", "    return 1\n", "class A {\n", "} else {\n", "};\n", "/*", "*/",
    "//", "import os\n", "@dec\n", "12:", "12:x\n", "13:y\n", "14:z\n", "   1\tx\n",
    "[File: /x/y.py (12 lines total)]\n", "(3 more lines above)\n", "2024-01-01 10:00:00 ERROR x\n", "INFO: y\n",
    "\tat a.b(C.java:1)\n", "Traceback (most recent call last):\n", '  File "x.py", line 1, in f\n',
    "ValueError: x\n", "E   assert\n", "____ test_x ____\n", "FAIL: test_x (a.B)\n", "....F\n",
    "test_a (m.B) ... ok\n", "=" * 20 + "\n", "-" * 20 + "\n", "diff --git a/x b/x\n", "--- a/x\n", "+++ b/x\n",
    "@@ -1,2 +1,3 @@\n", "+new\n", "-old\n", "\\ No newline\n", "a/b.py:12:x\n", "Found 2 matches for x\n", "├── a\n",
    "│   └── b\n", "<", ">", "<p>", "</p>", '<a href="x>y">', "<script>", "</script>", "<!--", "-->", "<h1>", "</h1>",
    '<div class="menu">', "</div>", "Title: x\n", "Document [1](Title: x (y)) ", "Items:\n", "a" * 700, "x " * 400,
]  # fmt: skip
TEXTS = st.one_of(
    st.text(max_size=80),
    st.lists(st.sampled_from(FRAGMENTS), max_size=40).map("".join),
    st.text(st.characters(codec=None), max_size=40),
)


@pytest.mark.moderate
@pytest.mark.parametrize("kind", MODULES)
@settings(max_examples=120, deadline=None)
@given(text=TEXTS, seed=st.integers(0, 2**32 - 1))
def test_every_segmenter_tiles_and_renders_any_text(kind: str, text: str, seed: int) -> None:
    found = segmenter(kind)(text)
    check_tiling(found, text)
    n = len(found.spans)
    keep = np.random.default_rng(seed).random(n) < 0.4
    out = found.render(keep)
    assert "".join(u for u, k in zip(units(found), found.closure(keep), strict=True) if k).strip() == "" or out
    assert (found.closure(keep) >= keep).all()
    assert found.render(found.closure(keep)) == out
    assert found.render(np.zeros(n, np.bool_)).strip() in ("", ELLIPSIS)


@settings(max_examples=120, deadline=None)
@given(text=TEXTS, hint=st.sampled_from(["", "a.py", "cat x.json", '{"command": "open a.js"}', "\ud800", "```"]))
def test_segment_gives_the_text_back(text: str, hint: str) -> None:
    found = segment_text(text, hint)
    assert found.render(np.ones(len(found.spans), np.bool_)) == text
    assert isinstance(detect_content_type(text, hint), str)
    spoken = segment_speech(text)
    assert spoken.render(np.ones(len(spoken.spans), np.bool_)) == text


@settings(max_examples=100, deadline=None)
@given(text=TEXTS)
def test_material_spans_are_ordered_and_long(text: str) -> None:
    spans = find_pasted_content(text * 8)
    assert all(b - a >= 800 for a, b in spans)
    assert all(b <= c for (_, b), (c, _) in pairwise(spans))


REPEATED = [
    "a", ".", "\n", " ", "a.\n", ". ", "(", "1", '."', "\n ", "<", "<a ", '<a "', "<h1>", "<script>", "<!--", "```\n",
    "|", "|-\n", "# a\n", "- a\n", "@@ -1 +1 @@\n", "{", "[{", '"', '"""', "'", "/*", "`", "├── ", "  at a.b(c:1)\n",
    "12: x\n", "<document>", "E   \n", "\ud83d", "\0", "\r", "。", '"a,\n', "x=>", "} else {\n", "<p>a</p>",
    "a b  c\n", "if (a) {\n", "//", "1. a\n", "--", "<div class=", "x: ", "[File: a.py]\n1:x\n", "{\n}\n",
]  # fmt: skip


@pytest.mark.moderate
def test_time_is_linear_in_hostile_texts() -> None:
    """20 KB of any one thing: no segmenter may take seconds, and all of them together only a few."""
    with cpu_time_below(60):
        for piece in REPEATED:
            text = (piece * (20_000 // len(piece) + 1))[:20_000]
            for kind in MODULES:
                with cpu_time_below(5, (kind, piece)):
                    found = segmenter(kind)(text)
                    found.render(np.arange(len(found.spans)) % 3 == 1)
            with cpu_time_below(5, piece):
                find_pasted_content(text)


@pytest.mark.parametrize("text", ["x" * 1_000_000, "1" * 200_000, "word " * 200_000, "é" * 300_000], ids=len)
def test_a_long_line_is_cut_into_pieces(text: str) -> None:
    found = segment_text(text)
    assert found.render(np.ones(len(found.spans), np.bool_)) == text
    assert int((found.spans[:, 1] - found.spans[:, 0]).max()) <= 2000


def test_hard_cuts_spare_numbers_urls_and_surrogate_pairs() -> None:
    text = "好" * 1150 + "https://example.com/" + "a" * 90 + "好" * 50
    assert length_splits(text, 0, len(text)) == [1150]
    text = "好" * 1196 + "12345.678" + "好" * 20
    assert length_splits(text, 0, len(text)) == [1196]
    pair = "\ud83d\ude00"
    text = "x" + pair * 1000
    assert all((c - 1) % 2 == 0 for c in length_splits(text, 0, len(text)))
    assert length_splits("ab " * 1000, 0, 3000)[0] == MAX_UNIT_CHARS


def test_gaps() -> None:
    text = "one\n  two\n  three\n\nfour\n"
    found = build_layout("log", text, [0, 4, 10, 19])
    assert found.render(np.array([True, False, False, True])) == "one\n  …\n\nfour\n"
    assert found.render(np.array([True, True, True, False])) == "one\n  two\n  three\n\n…\n"
    said = build_layout("prose", "One. Two. Three.", [0, 5, 10])
    assert said.render(np.array([True, False, True])) == "One. … Three."
    assert said.render(np.array([False, True, False])) == "… Two. …"
    assert said.render(np.array([True, True, False])) == "One. Two. …"
    blank = build_layout("log", "a\n\n\nb\n", [0, 2, 3, 4])
    assert blank.render(np.array([True, False, False, True])) == "a\nb\n"
    assert build_layout("log", "a\r\nb\r\nc\r\n", [0, 3, 6]).render(np.array([True, False, True])) == "a\r\n…\r\nc\r\n"


def test_ancestors_and_closers_stay() -> None:
    text = "if {\nx\nif {\ny\n}\n}\n"
    found = build_layout("code", text, [0, 5, 7, 12, 14, 16], [-1, 0, 0, 2, 2, 0], None, [-1, -1, -1, -1, 2, 0])
    keep = np.zeros(6, np.bool_)
    keep[3] = True
    assert found.render(keep) == "if {\n…\nif {\ny\n}\n}\n"
    keep[:] = False
    keep[1] = True
    assert found.render(keep) == "if {\nx\n…\n}\n"
    with pytest.raises(ValueError, match="shape"):
        found.render(np.ones(3, np.bool_))


@pytest.mark.moderate
def test_a_deep_chain_of_parents_is_followed() -> None:
    n = 20_000
    found = build_layout("search", "x\n" * n, np.arange(n) * 2, np.arange(n) - 1)
    keep = np.zeros(n, np.bool_)
    keep[-1] = True
    assert found.closure(keep).all()


def test_pieces_keep_noise_but_not_errors() -> None:
    flags = [int(UnitFlag.ERROR | UnitFlag.NOISE)]
    found = build_layout("log", "x " * 2000, [0], None, flags)
    assert found.flags.tolist() == [flags[0], *[int(UnitFlag.NOISE)] * (len(found.spans) - 1)]


def test_empty() -> None:
    for kind in MODULES:
        check_tiling(segmenter(kind)(""), "")
    assert len(segment_text("").spans) == 0
