"""The words of texts are remembered, and what is computed from them does not depend on what came before."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compressor.scoring import word_memory
from compressor.scoring.bm25 import matches, weighted_terms
from compressor.scoring.token_index import TokenIndex, distinct_tokens, split_tokens, terms
from compressor.scoring.word_memory import WordMemory, current_memory
from compressor.text.segmenters import segment_text

TEXTS = st.lists(st.text("ab AB_1./é漢\n", max_size=40), max_size=6)
LOG = "ERROR in worker-3: connection lost to db.example.org\nINFO started\nINFO started\n" * 4


@pytest.fixture(autouse=True)
def new_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word_memory, "_current", WordMemory())


def described(index: TokenIndex) -> list[object]:
    arrays = (index.token, index.unit, index.lengths, *index.pairs, index.kinds, index.shapes)
    return [*(a.tolist() for a in arrays), index.words, index.vocabulary, index.terms, index.tokens_by_term]


@given(TEXTS, TEXTS)
def test_an_index_does_not_depend_on_earlier_texts(earlier: list[str], texts: list[str]) -> None:
    word_memory._current = WordMemory()
    expected = described(TokenIndex(texts))
    word_memory._current = WordMemory()
    TokenIndex([text[::-1] for text in earlier])
    assert described(TokenIndex(texts)) == expected


@given(st.text("ab AB_1./é漢\n\x1e", max_size=200))
def test_units_are_split_one_by_one(text: str) -> None:
    layouts = [segment_text(text, ""), segment_text(LOG, ""), segment_text(text, "")]
    units = [layout.text[a:b] for layout in layouts for a, b in layout.spans.tolist()]
    for _ in range(2):  # the second time from memory
        index = TokenIndex.of_layouts(layouts)
        assert described(index) == described(TokenIndex(units))
    for i, unit in enumerate(units):
        assert [index.words[t] for t in index.token[index.unit == i]] == split_tokens(unit)


def test_words_of_a_layout_are_remembered_and_cannot_be_changed() -> None:
    memory = current_memory()
    layout = segment_text(LOG, "")
    [(words, lengths)] = memory.unit_words([layout])
    again, other, third = memory.unit_words([segment_text(LOG, ""), segment_text(LOG + "end", ""), layout])
    assert again[0] is third[0] is words and again[1] is lengths and other[0] is not words
    assert memory.unit_words([]) == []
    for array in (words, lengths, memory.text_words(LOG)):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


def test_a_large_vocabulary_is_replaced_and_an_index_keeps_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    layout = segment_text(LOG, "")
    old = TokenIndex.of_layouts([layout])
    expected = described(old)
    query = weighted_terms((("which worker lost its connection to db.example.org", 1.0),))
    hits = [a.tolist() for a in matches(old, query)]
    for limit in ("MAX_VOCABULARY_BYTES", "MANY_CHARACTERS"):
        monkeypatch.setattr(word_memory, limit, 0)
    new = TokenIndex.of_layouts([layout])
    assert new.memory is not old.memory and described(new) == expected == described(old)
    assert [a.tolist() for a in matches(new, query)] == [a.tolist() for a in matches(old, query)] == hits
    assert old.mask([LOG]).all() and new.mask(["started"]).tolist() == [w == "started" for w in new.words]


def test_a_vocabulary_of_little_text_may_be_larger(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word_memory, "MAX_VOCABULARY_BYTES", 0)
    memory = current_memory()
    memory.unit_words([segment_text(LOG, "")])
    memory.text_words("one more")
    assert memory.characters == len(LOG) + len("one more")
    assert current_memory() is memory
    monkeypatch.setattr(word_memory, "MAX_DENSE_VOCABULARY_BYTES", 0)
    assert current_memory() is not memory


def test_words_and_terms_are_found_by_number() -> None:
    index = TokenIndex(["Connection lost", "connections lost again", "CONNECTION"])
    assert index.words == ["Connection", "lost", "connections", "again", "CONNECTION"]
    assert index.find(["again", "never", "lost"]).tolist() == [3, -1, 1]
    tokens, places = index.find_terms(["lost", "never", "connection"])
    assert list(zip(tokens.tolist(), places.tolist(), strict=True)) == [(0, 2), (1, 0), (2, 2), (4, 2)]
    assert len(set(index.lower_ids.tolist())) == 4 and index.lower_ids[0] == index.lower_ids[4]
    counts, numbers = index.term_rows
    assert counts.tolist() == [1] * 5 and numbers[0] == numbers[2] == numbers[4]
    assert index.mask(["lost, but found", "CONNECTION"]).tolist() == [False, True, False, False, True]


def test_terms_and_tokens_of_a_text() -> None:
    text = "Fixed src/app.py in v2.1 for café users"
    assert split_tokens(text) == ["Fixed", "src/app.py", "in", "v2.1", "for", "café", "users"]
    assert terms(text) == ["fix", "src", "app", "py", "in", "v", "2", "1", "for", "caf", "user"]
    assert distinct_tokens(text) == frozenset(split_tokens(text))
    assert np.array_equal(current_memory().text_words(text), current_memory().text_words(text))
