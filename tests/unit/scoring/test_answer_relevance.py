"""What the answer model promises: bounds, order, and that odd texts and damaged files are no surprise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from compressor.context.model import Kind
from compressor.errors import CompressorError
from compressor.scoring import HeuristicScorer, Query, SourceBlock, UnitBatch, word_vectors
from compressor.scoring.answer_relevance import answer_log_odds, relevance
from compressor.text.segmenters.sentences import segment_prose
from support.cpu_time import cpu_time_below
from support.property_tests import given, settings, st

DOCUMENTS = {
    "Marie Curie": "Marie Curie was a physicist. She was born in Warsaw on 7 November 1867. She won two Nobel Prizes.",
    "Piñata": "A piñata is a container of paper. It is broken at parties. The name comes from Italian.",
    "USS Maine (ACR-1)": "U.S.S. Maine was a warship. It sank in Havana Harbor in February 1898. 260 men died.",
    "2018 Major League Baseball season": "The season began on March 29, 2018. It was the earliest opening day so far.",
    "Daylight saving time": "Clocks are set forward by an hour in spring. Germany did it first, in 1916.",
}


def titled_units(documents: dict[str, str], kind: Kind = "document") -> UnitBatch:
    layouts = [segment_prose(text) for text in documents.values()]
    costs = [(np.diff(x.spans, axis=1)[:, 0] / 4).astype(np.float32) for x in layouts]
    return UnitBatch([SourceBlock(kind, x, c, t) for x, c, t in zip(layouts, costs, documents, strict=True)])


def best(query: str) -> str:
    units = titled_units(DOCUMENTS)
    odds, read = answer_log_odds(Query(((query, 1.0),)), units)
    assert read.all()
    assert odds.dtype == np.float32
    assert float(relevance(odds).max()) == 1.0
    return units.texts()[int(odds.argmax())]


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        ("when was marie curie born", "1867"),
        ("where was the uss maine when it exploded in 1898", "Havana"),
        ("where does the name of the pinata come from", "Italian"),
        ("when does the mlb season start", "March 29"),
    ],
)
def test_finds_the_sentence_that_answers(query: str, answer: str) -> None:
    assert answer in best(query)


def test_nothing_asked_nothing_relevant() -> None:
    units = titled_units(DOCUMENTS)
    for query in (Query(), Query((("", 1.0),)), Query((("?!", 1.0),))):
        odds, read = answer_log_odds(query, units)
        assert not odds.any() and not read.any()


def test_reads_documents_only() -> None:
    odds, read = answer_log_odds(Query((("marie curie", 1.0),)), titled_units(DOCUMENTS, "tool_result"))
    assert not odds.any() and not read.any()
    assert answer_log_odds(Query((("x", 1.0),)), UnitBatch([]))[0].shape == (0,)


def test_is_deterministic() -> None:
    query = Query((("who won two nobel prizes", 1.0), ("physics", 0.4)))
    first, second = (HeuristicScorer().score(query, titled_units(DOCUMENTS)) for _ in range(2))
    assert np.array_equal(first, second)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.text(max_size=80), min_size=1, max_size=4),
    st.text(max_size=40),
    st.text(max_size=20),
)
def test_any_text_gives_finite_scores(texts: list[str], query: str, title: str) -> None:
    units = titled_units({f"{title}{i}": text for i, text in enumerate(texts)})
    odds, read = answer_log_odds(Query(((query, 1.0),)), units)
    assert odds.shape == read.shape == (len(units),)
    assert np.isfinite(odds).all()
    score = relevance(odds)
    assert (score >= 0).all() and (score <= 1).all()


@pytest.mark.parametrize(
    "text", ["", "\ud800\udfff\ud800", "東京は日本の首都です。人口は多い。", "\x00" * 50, "....", "a" * 5000]
)
def test_odd_texts(text: str) -> None:
    units = titled_units({"東京": text, "other": "Tokyo is the capital of Japan."})
    odds, _ = answer_log_odds(Query((("東京 capital \ud800", 1.0),)), units)
    assert np.isfinite(odds).all()


def test_is_quick() -> None:
    units = titled_units({f"{t} {i}": text * 3 for i in range(20) for t, text in DOCUMENTS.items()})
    query = Query((("when was marie curie born", 1.0),))
    answer_log_odds(query, units)
    with cpu_time_below(0.5):
        answer_log_odds(query, units)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "words.npz"
    with pytest.raises(CompressorError, match=r"words\.npz"):
        word_vectors.read_word_vectors(path)
    path.write_bytes(b"not a zip file")
    with pytest.raises(CompressorError, match="reinstall"):
        word_vectors.read_word_vectors(path)
    path.write_bytes(word_vectors.PATH.read_bytes()[:5000])
    with pytest.raises(CompressorError, match="reinstall"):
        word_vectors.read_word_vectors(path)
    np.savez(path, version=np.array(99))
    with pytest.raises(CompressorError, match="version 99"):
        word_vectors.read_word_vectors(path)
    np.savez(path, version=np.array(word_vectors.VERSION))
    with pytest.raises(CompressorError, match="reinstall"):
        word_vectors.read_word_vectors(path)
