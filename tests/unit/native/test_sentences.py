"""The kernel `sentences` against its twins: sentences from parts that decide something, and any text."""

from __future__ import annotations

import random
from bisect import bisect_right
from itertools import accumulate
from typing import Any

import pytest

from compressor.text.segmenters import lines, sentences
from support.native_kernels import kernel_or_skip
from support.property_tests import given, settings, st

NATIVE = kernel_or_skip("sentences")

READER: Any = sentences._reader
PARTS = [
    *".!?…؟۔।。！？\n\n\n\r\t  ()[]{}\"'“”‘’»「」|>#-*•_`:;,\xa0\u2028\u2010\xad\ud800\U0001f600",
    *"aZéßİǅΣж日あ1٣²½ก်",
    *" It, Its, Their ,It's ,He ,Dr.,z. B.,e.g. ,1. ,12.,1990.,am 1. Mai,3) ,(b) ,[12] ,[3],## ,Note: ,A. B. ".split(
        ","
    ),
    *"approx. 5 ,Title: x\n,Title: ,Question: ,Document [1](Title: a) ,Source 2: ,Doc,Error: ,ValueError: bad\n".split(
        ","
    ),
    *"x.py: warning ,fatal,not found,a line that is long enough to have been wrapped at the margin of a page\n".split(
        ","
    ),
    *"and so on,step 1 ,step 2 ,word words ".split(","),
    "1234567",
    "x" * 40,
    "ab " * 30,
]
texts = st.lists(st.sampled_from(PARTS), max_size=40).map("".join)
any_text = st.text(st.characters(), max_size=200)


def check(text: str) -> None:
    starts = sentences._find_starts(text)
    assert READER.starts(text) == starts
    assert READER.has_opening(text) or sentences._DOCUMENT.search(text) is None
    low = text.lower()
    for words in (sentences._TROUBLE_WORDS, ("ab", "aba", "ba")):
        found = lines._word_finder(words).offsets(low)
        assert sorted(found) == sorted(lines._find_words(low, words))
    if starts:
        divided = READER.divide(text)
        is_plain = not READER.has_opening(text) and sentences._SCRIPTS_WITHOUT_STOPS.search(text) is None
        assert (divided is not None) == is_plain
        if divided is not None:
            places = lines.word_offsets(text, sentences._TROUBLE_WORDS)
            units = sorted({bisect_right(starts, at) - 1 for at in places})
            assert divided == (starts, *sentences._find_heads(text, starts, set(), units))
        troubled = sorted({bisect_right(starts, at) - 1 for at in range(0, len(text), 7)})
        for documents in (set[int](), set(starts[::3])):
            assert READER.heads(text, starts, documents, troubled) == sentences._find_heads(
                text, starts, documents, troubled
            )


@settings(max_examples=400)
@given(texts)
def test_texts_of_telling_parts_are_split_like_the_twin_does(text: str) -> None:
    check(text)


@settings(max_examples=200)
@given(any_text)
def test_any_text_is_split_like_the_twin_does(text: str) -> None:
    check(text)


def test_many_random_texts_are_split_like_the_twin_does() -> None:
    rng = random.Random(5)
    for _ in range(1500):
        check("".join(rng.choice(PARTS) for _ in range(rng.randrange(60))))


@pytest.mark.parametrize("part", ["a. ", "\n", ". ", "。", "(", "1", "#", " ", "x", "A:", "- a\n", "ab " * 31 + "\n"])
def test_long_runs_are_split_like_the_twin_does(part: str) -> None:
    check(part * 2000)


def test_starts_that_do_not_ascend_are_refused() -> None:
    for starts in ([0, 5], [0, 0], [-1], [0, 2, 1]):
        with pytest.raises(ValueError, match="ascend"):
            READER.heads("abc", starts, set(), [])


@settings(max_examples=200)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=12), st.sampled_from(PARTS), texts)
def test_any_starts_have_the_parents_and_flags_of_the_twin(sizes: list[int], part: str, text: str) -> None:
    text += part * sum(sizes)
    starts = [0, *accumulate(sizes)]
    starts = [at for at in starts if at < len(text)]
    every = list(range(len(starts)))
    assert READER.heads(text, starts, set(), every) == sentences._find_heads(text, starts, set(), every)
