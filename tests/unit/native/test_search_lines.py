"""The kernel `search_lines` against its twin: listings of parts that decide something, and any text."""

from __future__ import annotations

import pytest

from compressor.text.segmenters.search_results import read_listing, read_listing_slowly
from support.native_kernels import kernel_or_skip
from support.property_tests import given, settings, st
from support.recorded_texts import recorded_texts

NATIVE = kernel_or_skip("search_lines")

PARTS = [
    *"\n\n\n\n\r\t    x:-|│é٣\xa0\u2028\ud800\U0001f600",
    *"├── ¦└── ¦│   ¦|-- ¦`-- ¦+--¦--¦a/b.c:12: x¦a/b.c¦./¦12:¦12-¦Line 3:¦Found 3 matches in¦Showing 2 results".split(
        "¦"
    ),
    *"Displaying 1 file¦3 matches found¦3 files in¦Search results for¦results in¦total 12¦2 directories".split("¦"),
    *"No matches¦(More¦More¦Results truncated¦Output truncated¦End of matches¦find: ¦grep: x¦ls: ¦rg: ¦C:\\a".split(
        "¦"
    ),
]


@settings(max_examples=500)
@given(st.one_of(st.lists(st.sampled_from(PARTS), max_size=50).map("".join), st.text(st.characters(), max_size=200)))
def test_same_listing(text: str) -> None:
    assert read_listing(text) == read_listing_slowly(text)


def test_same_listing_of_recorded_texts() -> None:
    for text in recorded_texts():
        assert read_listing(text) == read_listing_slowly(text)


@pytest.mark.parametrize("sign", [" ", "|", "│   ", "├── \n", "1", "a/\n", "\n", "\r"])
def test_same_listing_of_long_runs(sign: str) -> None:
    text = sign * 900
    assert read_listing(text) == read_listing_slowly(text)
