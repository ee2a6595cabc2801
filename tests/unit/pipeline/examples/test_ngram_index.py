"""The vectorised n-grams and their index against slow, readable ones."""

from __future__ import annotations

import itertools
import zlib

import numpy as np
import pytest

from compressor import Compressor, ExampleStore
from compressor.pipeline.examples import ngram_features as features_module
from compressor.pipeline.examples import ngram_index as index_module
from compressor.pipeline.examples.ngram_features import CHAR_NGRAM_SIZES, join_features, ngram_features
from compressor.pipeline.examples.ngram_index import NgramIndex
from compressor.scoring.token_index import TOKEN, terms
from support.labelled_examples import BANK
from support.property_tests import given, settings, st

PIECES = st.sampled_from(
    [
        "card",
        "Lost-Card",
        "U.S.",
        "x@y.de",
        "日本語の文",
        "สวัสดี",
        "naïve",
        "ΣΑΣ",
        "\x1e",
        "\n",
        " ",
        "",
        "-",
        "3.14",
        "İ",
        "\ud800",
        "don't",
    ]
)
TEXTS = st.lists(st.lists(PIECES, max_size=6).map(" ".join), max_size=8)
MASK = (1 << 64) - 1


def mixed(value: int, kind: int) -> int:
    value = (value + 0xC2B2AE3D27D4EB4F + 2 * kind) * 0x9E3779B97F4A7C15 & MASK
    value ^= value >> 29
    return (value * 0x9E3779B97F4A7C15 & MASK) >> 32


def slow_features(text: str) -> list[int]:
    words = [zlib.crc32(term.encode("utf-8", "surrogatepass")) for term in terms(text)]
    found = {mixed(word, 1) for word in words}
    ends = [1, *words, 2]
    found |= {mixed((mixed(a, 2) + b) & MASK, 2) for a, b in itertools.pairwise(ends) if words}
    line = f" {' '.join(TOKEN.findall(text.lower()))} "
    for n in CHAR_NGRAM_SIZES:
        for start in range(len(line) - n + 1):
            value = 0
            for char in line[start : start + n]:
                value = (value * 0x9E3779B97F4A7C15 + ord(char)) & MASK
            found.add(mixed(value, n))
    return sorted(found)


@settings(max_examples=60)
@given(TEXTS, st.integers(1, 4))
def test_features_against_a_slow_reference(texts: list[str], chunk: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(features_module, "MAX_CHUNK_TEXTS", chunk)
        found = list(ngram_features(texts))
    assert [f.tolist() for f in found] == [slow_features(text) for text in texts]


@settings(max_examples=60)
@given(TEXTS, TEXTS, st.booleans(), st.data())
def test_an_index_in_parts_is_the_index(old: list[str], new: list[str], is_owner: bool, data: st.DataObject) -> None:
    gone = np.array([data.draw(st.booleans()) for _ in [*old, *new]], np.bool_)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index_module, "_BLOCK", data.draw(st.sampled_from([0, 1, 1 << 20])))
        index = NgramIndex(ngram_features(old), is_owner).with_added(ngram_features(new), is_owner).without(gone)
        left = [text for text, out in zip([*old, *new], gone.tolist(), strict=True) if not out]
        assert [doc.tolist() for doc in index.docs] == [slow_features(text) for text in left]
        assert index.sizes.tolist() == [len(doc) for doc in index.docs]
        lengths = [np.sqrt((index.idf[index.vocabulary_indices(doc)] ** 2).sum()) for doc in index.docs]
        assert np.allclose(index.lengths, lengths)
    for number, word in enumerate(index.vocabulary.tolist()):
        rows = index._rows[index._starts[number] : index._starts[number + 1]].tolist()
        assert rows == [row for row, doc in enumerate(index.docs) if word in doc]


def test_features_of_one_owner_only_are_overwritten() -> None:
    found = ngram_features(["a card", "my card"])
    before = found.flat.copy()
    NgramIndex(found)
    assert np.array_equal(found.flat, before)


def test_typicality_is_the_cosine_with_the_sum() -> None:
    index = NgramIndex(ngram_features(["my card", "my lost card", "", "weather today", "card"]))
    rows = np.array([4, 0, 2, 1])
    sums, vectors = index.sum_vectors(rows)
    assert np.allclose(index.typicality(rows)[0], vectors @ sums / np.linalg.norm(sums), atol=1e-6)
    assert index.typicality(np.array([2]))[0].tolist() == [0.0]
    assert index.typicality(np.zeros(0, np.int64))[0].shape == (0,)


def test_rows_of_features() -> None:
    found = ngram_features(["a", "bb cc", "", "d"])
    rows = list(found)
    assert [found[i].tolist() for i in (0, 1, -1, -2)] == [rows[i].tolist() for i in (0, 1, -1, -2)]
    assert [doc.tolist() for doc in found.select([3, 1])] == [rows[3].tolist(), rows[1].tolist()]
    assert len(join_features([])) == 0 and len(found.select([])) == 0
    index = NgramIndex(found)
    assert [doc.tolist() for doc in index.docs[1:3]] == [doc.tolist() for doc in rows[1:3]]
    with pytest.raises(IndexError):
        index.docs[4]


def test_values_of_a_batch_with_removed_examples() -> None:
    compressor = Compressor(store="memory")
    store = ExampleStore(compressor)
    ids = store.add(BANK)
    store.select("card", 60)  # token counts are cached for the whole record
    store.remove(ids[::2])
    again = ExampleStore(compressor)
    plain = Compressor(store="memory")
    found = again.select("card", 60)
    assert found.text == plain.select_examples(BANK[1::2], "card", 60).text
    assert found.tokens_after == plain.select_examples(BANK[1::2], "card", 60).tokens_after


def test_equal_choice_with_and_without_the_check_for_reasoning(monkeypatch: pytest.MonkeyPatch) -> None:
    from compressor.pipeline.examples.example_set import ExampleSet

    compressor = Compressor(store="memory")
    want = [compressor.select_examples(BANK, q, b).text for q in ("card", "money") for b in (20, 60)]
    monkeypatch.setattr(ExampleSet, "has_prunable_reasoning", True)
    assert [compressor.select_examples(BANK, q, b).text for q in ("card", "money") for b in (20, 60)] == want
