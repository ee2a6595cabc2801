"""The quick look for nouns of examples says what the search of the whole pattern says."""

from __future__ import annotations

import re
import sys

from compressor.text.segmenters.few_shot import find_examples
from compressor.text.segmenters.few_shot_words import _ODD_CASE, _STEMS, ANY_NOUN, find_any_noun
from support.property_tests import given, settings, st

NOUNS = st.from_regex(ANY_NOUN, fullmatch=True)
PIECES = st.one_of(
    NOUNS, st.sampled_from([*_STEMS, " ", "EXAMPLE", "İ", "ı", "ſ", "ς", "e", "xample", "x" * 20]), st.text(max_size=5)
)


@settings(max_examples=300)
@given(NOUNS, st.sampled_from([str, str.upper, str.title, str.swapcase]))
def test_every_noun_is_found(noun: str, in_case: type[str]) -> None:
    for text in (in_case(noun), f"İ {in_case(noun)}", f"{'a ' * 40}{in_case(noun)} b"):
        assert find_any_noun(text) == bool(ANY_NOUN.search(text)), text
    assert find_any_noun(noun)


@settings(max_examples=300)
@given(st.lists(PIECES, max_size=12))
def test_any_text(pieces: list[str]) -> None:
    text = "".join(pieces)
    assert find_any_noun(text) == bool(ANY_NOUN.search(text))


def test_odd_letters_are_known() -> None:
    letters = {c for c in ANY_NOUN.pattern if c.isalpha()}
    same = re.compile(f"[{''.join(letters)}]", re.IGNORECASE)
    odd = [c for c in map(chr, range(sys.maxunicode + 1)) if same.match(c) and c.lower() not in letters]
    assert all(_ODD_CASE.match(c) for c in odd)


def test_what_is_remembered_cannot_be_changed() -> None:
    text = "Examples:\n\nQ: one\nA: eins\n\nQ: two\nA: zwei\n\nQ: three\nA: drei\n"
    first = find_examples(text)
    assert first
    first.clear()
    assert find_examples(text)
