"""What scorers with a model promise, whatever the model: what is read, and that its failure costs no request."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from compressor import Compressor
from compressor.context.model import Kind
from compressor.errors import CompressorError, ModelError, QueueFullError
from compressor.pipeline.ranking import rank
from compressor.scoring import (
    BlendWeights,
    CascadeWindow,
    HeuristicScorer,
    ModelScorer,
    Query,
    SourceBlock,
    UnitBatch,
    make_scorer,
)
from compressor.scoring.base import Scores
from compressor.text.segmenters.sentences import segment_prose
from support.property_tests import given, settings, st

TEXT = "The mill was built in 1790. It ground corn for the town. The owner was Anna Berg. A fire destroyed it in 1871."
QUERY = Query((("who owned the mill", 1.0),))


class Likes:
    """A reader that likes one word, and can be made to fail."""

    name = "likes"

    def __init__(self, word: str = "fire", error: Exception | None = None, value: float = 9.0) -> None:
        self.word, self.error, self.value = word, error, value
        self.seen: list[int] = []

    def relevance(self, query: Query, units: UnitBatch, which: npt.NDArray[np.int64]) -> Scores:
        self.seen += which.tolist()
        if self.error:
            raise self.error
        texts = units.texts()
        return np.array([self.value if self.word in texts[i] else 0.0 for i in which], np.float32)


def costed_units(*texts: str, kind: Kind = "document", room: float = 0.0) -> UnitBatch:
    layouts = [segment_prose(t) for t in texts]
    return UnitBatch(
        [SourceBlock(kind, x, (np.diff(x.spans, axis=1)[:, 0] / 4).astype(np.float32)) for x in layouts],
        available_tokens=room,
    )


def scorer(reader: Likes, band: CascadeWindow | None = None, mix: BlendWeights | None = None) -> ModelScorer:
    return ModelScorer("tier", reader, mix or BlendWeights(0.0, 1.0), band)


def test_the_reader_decides_what_a_document_is_kept_for() -> None:
    units = costed_units(TEXT)
    best = units.texts()[int(scorer(Likes("fire")).score(QUERY, units).argmax())]
    assert "fire" in best
    assert "fire" not in units.texts()[int(HeuristicScorer().score(QUERY, units).argmax())]


def test_what_a_tool_said_is_read_too_and_adds_to_its_words() -> None:
    units = costed_units(TEXT, kind="tool_result")
    plain, read = HeuristicScorer().score(QUERY, units), scorer(Likes("fire")).score(QUERY, units)
    at = next(i for i, t in enumerate(units.texts()) if "fire" in t)
    assert read[at] > plain[at]
    assert (read >= plain - 1e-6).all()


@pytest.mark.parametrize("error", [QueueFullError("the queue is full"), ModelError("it broke")])
def test_a_model_that_cannot_answer_is_done_without_and_named(error: CompressorError) -> None:
    units = costed_units(TEXT)
    assert np.array_equal(scorer(Likes(error=error)).score(QUERY, units), HeuristicScorer().score(QUERY, units))
    assert units.notes == [f"tier: {error}; scored by the fast tier instead"]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_none_are_not_believed(value: float) -> None:
    units = costed_units(TEXT)
    found = scorer(Likes(value=value)).score(QUERY, units)
    assert np.array_equal(found, HeuristicScorer().score(QUERY, units))
    assert "NaN" in units.notes[0]


def test_notes_become_warnings_of_the_result() -> None:
    compressor = Compressor(scorer(Likes(error=QueueFullError("the queue is full"))), store="memory")
    documents = [{"title": "Mill", "text": TEXT * 5}]
    result = compressor.compress_documents(documents, query="who owned the mill", budget=60)
    assert any("queue is full" in w for w in result.warnings) and result.tokens_after <= 60
    messages = [
        {"role": "user", "content": "who owned the mill?"},
        {
            "role": "assistant",
            "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": ""}}],
        },
        {"role": "tool", "tool_call_id": "1", "content": " ".join(f"{TEXT} {i}" for i in range(20))},
    ]
    assert any("queue is full" in w for w in compressor.compress(messages, budget=120).warnings)


class Sees(Likes):
    """A reader that takes units with the same first word for the same."""

    def vectors_of(self, units: UnitBatch, which: npt.NDArray[np.int64]) -> Scores:
        firsts = [units.texts()[i].split()[0] for i in which]
        return np.array([[f == name for name in sorted(set(firsts))] for f in firsts], np.float32)


def test_vectors_tell_what_is_said_twice() -> None:
    units = costed_units("Fire took it. Water was far away. Fire burned all of the house.")
    scores = scorer(Sees("F")).score(QUERY, units)
    novelty = rank(scores, units).novelty
    assert sorted(novelty.round(3).tolist()) == [0.0, 1.0, 1.0]
    units.vectors = None
    assert rank(scores, units).novelty.min() > 0.5


def test_without_a_query_nothing_is_read() -> None:
    reader = Likes()
    units = costed_units(TEXT)
    assert np.array_equal(scorer(reader).score(Query(), units), HeuristicScorer().score(Query(), units))
    assert not reader.seen


@given(st.floats(1, 400), st.integers(1, 12))
@settings(max_examples=40, deadline=None)
def test_a_cascade_reads_only_what_is_near_the_line(room: float, copies: int) -> None:
    units = costed_units(*(f"{TEXT} Number {i}." for i in range(copies)), room=room)
    reader, band = Likes(), CascadeWindow(2.0, 30.0)
    cheap = HeuristicScorer().score(QUERY, units)
    order = np.argsort(-cheap, kind="stable")
    begin = np.cumsum(units.costs[order]) - units.costs[order]
    scorer(reader, band).score(QUERY, units)
    near = set(order[begin < max(2 * room, 30)].tolist())
    assert set(reader.seen) <= near and len(reader.seen) == len(near)


def test_a_cascade_that_knows_no_budget_reads_everything() -> None:
    reader = Likes()
    units = costed_units(TEXT)
    scorer(reader, CascadeWindow()).score(QUERY, units)
    assert len(reader.seen) == len(units)


@given(st.lists(st.text(max_size=60), min_size=1, max_size=4), st.text(max_size=20))
@settings(max_examples=60, deadline=None)
def test_any_text_gives_finite_scores(texts: list[str], query: str) -> None:
    units = costed_units(*texts, room=10)
    for band in (None, CascadeWindow()):
        found = scorer(Likes("a"), band, BlendWeights(0.5, 0.5)).score(Query(((query, 1.0),)), units)
        assert found.shape == (len(units),) and np.isfinite(found).all() and (found >= 0).all()


@pytest.mark.parametrize("name", ["nonsense", "fast:model", "cascade:fast", ""])
def test_an_unknown_tier_is_named_with_those_there_are(name: str) -> None:
    with pytest.raises(CompressorError, match="embedding, pruner, perplexity, cascade"):
        make_scorer(name)
