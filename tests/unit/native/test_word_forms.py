"""The kernel `word_forms` against its twin: words with the endings that English exchanges, and any letters."""

from __future__ import annotations

from compressor.scoring import word_forms
from support.native_kernels import kernel_or_skip
from support.property_tests import given, st

NATIVE = kernel_or_skip("word_forms")

ENDINGS = [ending for ending, _, _ in word_forms._ENGLISH_ENDINGS] + ["ions", "ments", "ee", "nned", "lly", "y", "ie"]


@given(st.text("abdegilmnoprstuyz", max_size=12), st.sampled_from(["", *ENDINGS]))
def test_english_forms_are_those_of_the_twin(root: str, ending: str) -> None:
    native = word_forms._list_english
    assert native(root + ending) == word_forms.english_forms(root + ending)


def test_a_long_word_has_forms() -> None:
    native = word_forms._list_english
    assert native("x" * 5000 + "ing") == word_forms.english_forms("x" * 5000 + "ing")
