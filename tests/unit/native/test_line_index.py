"""The compiled index of lines finds what the Python code finds."""

from __future__ import annotations

import os

import pytest

from compressor.native import load_kernel
from compressor.text.lossless.line_index import DictLineIndex, LineIndex
from compressor.text.lossless.numbered_text import NumberedText
from support.property_tests import given, settings, st

kernel = load_kernel("line_index")
if kernel is None and not os.environ.get("COMPRESSOR_REQUIRE_MODELS"):
    pytest.skip("the kernel is not built", allow_module_level=True)

FORMS = ["{}:{}", "{} {}", "{} |{}", "{}|{}", "{:>6}\t{}", "{:>3} |{}", "{:>5}→{}", "{:>13} {}", "0{}:{}", "١{} {}"]
SHORT = [
    "",
    "}",
    "\r",
    "|",
    " |",
    "x",
    "\0",
    "\ud800",
    "é",
    "ü",
    "…",
    "𝛼" * 9,
    "5:",
    " 6:a",
    "7 |b",
    "8 8",
    "9\u0663:c",
]
contents = st.sampled_from(SHORT) | st.text(st.characters(codec=None, blacklist_characters="\n"), max_size=12)


def listing(form: str, first: int, lines: list[str], step: int) -> str:
    return "\n".join(form.format(first + k * step, line) for k, line in enumerate(lines))


parts = st.one_of(
    st.builds(
        listing,
        st.sampled_from(FORMS),
        st.sampled_from([0, 1, 2, 7, 95, 998, 9_999_998, 12_345_678]),
        st.lists(contents, max_size=9),
        st.sampled_from([1, 1, 1, 2]),
    ),
    st.lists(contents, max_size=9).map("\n".join),
    st.lists(st.sampled_from(SHORT), max_size=9).map("\n".join),
)
texts = st.lists(parts, max_size=4).map("\n".join)


def everything(index: LineIndex, text: str) -> list[object]:
    """What the index says about each line of a text."""
    index.read(NumberedText(text))
    out: list[object] = []
    line, place = index.find(0)
    while place >= 0:
        known = place
        while known >= 0:
            out.append((line, index.locate(known), index.common(line, known, 6)))
            known = index.older(known)
        line, place = index.find(line + 1)
    return out


@settings(deadline=None)
@given(st.lists(texts, min_size=1, max_size=6), st.integers(0, 5), st.lists(texts, max_size=3))
def test_kernel_and_twin_agree(held: list[str], kept: int, more: list[str]) -> None:
    assert kernel is not None
    native: LineIndex = kernel.NativeLineIndex()
    twin = DictLineIndex()
    for text in held:
        assert everything(native, text) == everything(twin, text)
        native.add(NumberedText(text))
        twin.add(NumberedText(text))
    native.truncate(kept)
    twin.truncate(kept)
    for text in [*held, *more]:
        assert everything(native, text) == everything(twin, text)
        native.add(NumberedText(text))
        twin.add(NumberedText(text))


def test_numbers_that_do_not_count_up_end_the_search() -> None:
    assert kernel is not None
    numbered = "\n".join(f"{i}:line {i}" for i in range(20))
    again = "\n".join(f"{i + 30}:line {i}" for i in range(20))
    for pairs in (63, 64, 65, 66):
        bait = "\n" + "5:a\n" * 2 * pairs
        native: LineIndex = kernel.NativeLineIndex()
        twin = DictLineIndex()
        for index in (native, twin):
            index.add(NumberedText(bait + numbered))
        assert everything(native, again) == everything(twin, again)
        assert everything(native, bait + again) == everything(twin, bait + again)


def test_places_outside_are_refused() -> None:
    assert kernel is not None
    index: LineIndex = kernel.NativeLineIndex()
    index.add(NumberedText("a\nb\nc\nd"))
    for place in (-1, 4):
        with pytest.raises(IndexError):
            index.older(place)
        with pytest.raises(IndexError):
            index.locate(place)
    with pytest.raises(IndexError):
        index.common(0, -1, 4)
    index.read(NumberedText("a\nb\nc\nd"))
    assert index.common(0, 0, 9) == 4 and index.common(9, 0, 9) == 0 and index.find(9) == (-1, -1)
    assert index.size > 0
