"""The native vocabulary numbers, splits and describes words as the Python one does."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compressor.scoring import vocabulary as module
from compressor.scoring.token_forms import describe_token
from compressor.scoring.token_splitting import JOINERS, SPECIAL_RANGES, TOKEN, split_tokens
from compressor.scoring.vocabulary import Vocabulary
from support.native_kernels import kernel_or_skip

kernel = kernel_or_skip("words")

#: What words are made of, with the characters that decide their class.
_WORDS = (
    "a b s A B Z 0 7 12 2024 _ __ . / @ # - ing ed es ies sses ly foo Bar HAT HTTPServer camelCase x1 v2 py é ß ñ Ä İ "
    "K ٣ ² ﬁ e\u0301 हिन्दी \u200d 漢 漢字 ひら カタ ｱﾞ ゛ 한국어는 ไทย ລາວ 😀 \ufe0f \x1e \ud800 \U0001d7d8 \U00020000"
)
PIECES = st.sampled_from([*_WORDS.split(" "), " ", "\n", "  "])
TEXTS = st.one_of(
    st.lists(PIECES, max_size=30).map("".join),
    st.text(max_size=60),
    st.text(st.characters(max_codepoint=127), max_size=60),
    st.text("aAbZz09_./@#- ", max_size=40),
    st.sampled_from(["", "a" * 5000, "a/" * 300, "x_" * 150 + "9", "." * 500, "Aa1-" * 60, "漢" * 400]),
)


def both() -> tuple[Vocabulary, Vocabulary]:
    assert kernel is not None, "the kernel is not built"
    return Vocabulary(), kernel.Vocabulary(describe_token, split_tokens, SPECIAL_RANGES, JOINERS)


def assert_same(python: object, native: object) -> None:
    if isinstance(python, tuple):
        assert isinstance(native, tuple) and len(python) == len(native)
        for a, b in zip(python, native, strict=True):
            assert_same(a, b)
    elif isinstance(python, np.ndarray):
        assert isinstance(native, np.ndarray)
        assert python.dtype == native.dtype and python.tolist() == native.tolist()
    else:
        assert python == native


@settings(deadline=None)
@given(st.lists(TEXTS, max_size=6), st.data())
def test_both_number_and_describe_the_same_words(texts: list[str], data: st.DataObject) -> None:
    python, native = both()
    for text in texts:
        cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
        spans = np.array([*zip([0, *cuts], [*cuts, len(text)], strict=True)], np.int32)
        assert_same(python.scan(text, spans), native.scan(text, spans))
        assert_same(python.scan(text), native.scan(text))
        parts = [(text, spans[:2]), ("", spans[:0]), (text, spans)]
        assert_same(tuple(python.scan_all(parts)), tuple(native.scan_all(parts)))
        assert_same(python.text_terms(text), native.text_terms(text))
        assert_same(python.text_words(text), native.text_words(text))
        assert_same(python.distinct_words(text), native.distinct_words(text))
    assert_same(python.scan_texts(texts), native.scan_texts(texts))
    assert len(python) == len(native)
    every = np.arange(len(python), dtype=np.int32)
    assert_same(python.words(every), native.words(every))
    assert_same(python.lower_ids(every), native.lower_ids(every))
    every = np.arange(len(python), dtype=np.int32)
    for name in ("words", "kinds", "shapes", "terms", "term_rows", "term_sizes", "lower_ids"):
        assert_same(getattr(python, name)(every), getattr(native, name)(every))
    assert_same(python.term_texts(python.term_rows(every)[1]), native.term_texts(native.term_rows(every)[1]))
    for number, word in enumerate(python.words(every)):
        kind, terms, shape = describe_token(word)
        assert python.word_kind(word) == native.word_kind(word) == (kind, terms)
        assert native.shapes(every)[number] == shape
        assert python.find([word]).tolist() == native.find([word]).tolist() == [number]


@settings(deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=6), st.lists(TEXTS, max_size=3))
def test_both_index_the_same(texts: list[str], others: list[str]) -> None:
    python, native = both()
    made: list[tuple[Any, ...]] = []
    for one in (python, native):
        lists = [one.scan(text)[0] for text in others]
        parts = [one.scan_texts(texts[i::2]) for i in range(2)]
        words, lengths, token, unit, *pairs = one.join(parts)
        terms = [*dict.fromkeys(t for text in others for t in one.text_terms(text)), "no such term"]
        weights = {term: (i % 7) / 3 for i, term in enumerate(terms[::2])}
        forms = {form: terms[i // 2 * 2] for i, form in enumerate(terms)} | {"other": terms[0]}
        hits = one.hits(words, one.find_terms(terms)) + one.query_hits(words, weights, forms)
        wanted = one.find([*others, *one.words(words)[::3], "no such word"])
        means = one.term_weights(words, weights)
        masks = one.mask(words, lists), one.positions(words, wanted)
        made.append((words, lengths, token, unit, *pairs, *hits, *means, *masks))
    assert_same(*made)
    assert kernel is not None
    words, _, token, unit, _, _, tokens, columns, *_ = made[0]
    assert_same(
        python_expand(tokens, columns, token, unit, len(words)),
        kernel.expand_hits(tokens, columns, token, unit, len(words)),
    )


def python_expand(*arguments: object) -> object:
    return module.python_expand_hits(*arguments)  # type: ignore[arg-type]


@given(TEXTS)
def test_words_of_ranges_are_those_of_the_pattern(text: str) -> None:
    from compressor.scoring.character_ngrams import spread_runs

    assert split_tokens(text) == TOKEN.findall(spread_runs(text))
    for one in both():
        assert one.words(one.scan_texts(["", text, text])[0]) == 2 * split_tokens(text)


def test_numbers_of_another_vocabulary_are_an_error() -> None:
    _, native = both()
    far = np.array([5], np.int32)
    for name in ("kinds", "shapes", "words", "terms", "term_rows", "term_sizes", "lower_ids", "term_texts"):
        with pytest.raises(IndexError):
            getattr(native, name)(far)
    with pytest.raises(IndexError):
        native.join([(far, np.array([1], np.int32))])
    with pytest.raises(IndexError):
        native.mask(native.add(["a"]), [far])


@pytest.mark.parametrize("which", [0, 1])
def test_threads_share_a_vocabulary(which: int) -> None:
    one = both()[which]
    words = [f"{'é' if i % 3 else ''}word{i}" for i in range(2000)]
    found: list[np.ndarray[tuple[int], np.dtype[np.int32]]] = []

    def work() -> None:
        for i in range(0, len(words), 50):
            one.scan(" ".join(words[i : i + 50]))
        found.append(one.find(words))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(one) == len(words) and sorted(found[0].tolist()) == list(range(len(words)))
    assert all((each == found[0]).all() for each in found)
    assert one.words(found[0]) == words
