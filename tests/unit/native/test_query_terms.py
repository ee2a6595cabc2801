"""The kernel `query_terms` against its twins: words of many languages, compounds, and any letters."""

from __future__ import annotations

import os

import pytest

from compressor.native import load_kernel
from compressor.scoring import bm25, stop_words
from compressor.scoring.token_index import TOKEN
from support.property_tests import given, st

NATIVE = load_kernel("query_terms")
if NATIVE is None and os.environ.get("COMPRESSOR_REQUIRE_MODELS") and os.environ.get("COMPRESSOR_NATIVE") != "0":
    raise RuntimeError("the kernel `query_terms` is not built")
pytestmark = pytest.mark.skipif(NATIVE is None, reason="the kernel `query_terms` is not built")

LISTED = sorted({word for words in stop_words.STOP_WORDS.values() for word in words} | stop_words._ENGLISH | bm25.STOP)
WORDS = st.one_of(
    st.sampled_from(LISTED),
    st.sampled_from(
        "retries A B 7 05 v1.2.3 U.S. HAT136 2024-05-20 a-t-elle foo/bar.py camelCase x_y ALL 漢字 K é".split()
    ),
    st.text("aBc_19", min_size=1, max_size=5),
    st.text(min_size=1, max_size=4),
)
TEXTS = st.lists(st.tuples(WORDS, st.sampled_from([" ", " ", "-", ".", "/", "_"])), max_size=25).map(
    lambda pieces: "".join(word + after for word, after in pieces)
)
LANGUAGES = st.lists(st.sampled_from(["en", *stop_words.STOP_WORDS]), max_size=3, unique=True).map(tuple)


@given(TEXTS, LANGUAGES, st.booleans())
def test_terms_are_those_of_the_twin(text: str, languages: tuple[str, ...], has_forms: bool) -> None:
    tokens = list(dict.fromkeys(TOKEN.findall(text)))
    shares, forms, compounds = bm25._read_tokens(tokens, languages, languages if has_forms else ())
    found = bm25.read_tokens(tokens, languages, languages if has_forms else ())
    assert (list(shares.items()), forms, compounds) == (list(found.shares.items()), found.forms, found.compounds)


@given(TEXTS)
def test_languages_are_those_of_the_twin(text: str) -> None:
    tokens = TOKEN.findall(text)
    assert stop_words._count_shown(tokens) == stop_words.count_shown(tokens)


def test_long_tokens_are_read() -> None:
    tokens = ["x" * 5000, "a/" * 3000 + "b", "A" * 300 + "-b", "漢" * 300]
    shares, forms, compounds = bm25._read_tokens(tokens, ("en", "fr"), ("en", "fr"))
    assert bm25.PartTerms(shares, forms, compounds) == bm25.read_tokens(tokens, ("en", "fr"), ("en", "fr"))
