"""The kernel `word_forms` against its twin: words with the endings that English exchanges, and any letters."""

from __future__ import annotations

from compressor.scoring import word_forms
from support.native_kernels import kernel_or_skip
from support.property_tests import given, st

NATIVE = kernel_or_skip("word_forms")

ENDINGS = [ending for ending, _, _ in word_forms._ENGLISH_ENDINGS] + ["ions", "ments", "ee", "nned", "lly", "y", "ie"]
FOREIGN = sorted({e for endings in word_forms._SETS.values() for e in endings if e.isascii()})
FRONTS = sorted({front for fronts in word_forms._FRONTS.values() for front in fronts if front.isascii()})


@given(
    st.sampled_from(["", "", *FRONTS]),
    st.text("abdegilmnoprstuyz", max_size=12),
    st.sampled_from(["", *ENDINGS, *FOREIGN]),
    st.lists(st.sampled_from(["en", "xx", *word_forms._SETS]), max_size=3).map(tuple),
)
def test_forms_are_those_of_the_twin(front: str, root: str, ending: str, languages: tuple[str, ...]) -> None:
    word = front + root + ending
    assert word_forms._list_forms(word, languages) == word_forms.exchange_endings(word, languages)


def test_a_long_word_has_forms() -> None:
    word = "x" * 5000 + "ing"
    assert word_forms._list_forms(word, ("en", "id")) == word_forms.exchange_endings(word, ("en", "id"))
