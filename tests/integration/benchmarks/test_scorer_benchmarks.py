"""The tiers' rulers: they count what they say, map units to sentences, and never show a number of what did not run."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import ceiling_int8, columns, evidence, held_out, pairs, throughput, tiers
from benchmarks.baselines import bm25
from benchmarks.ceiling import Bound, Shape
from benchmarks.columns import CachingScorer, Column
from benchmarks.methods import TIERS
from benchmarks.pairs import Passage, average_precision
from benchmarks.tokens import count
from compressor.errors import CompressorError, ModelError
from compressor.scoring import HeuristicScorer, Query, UnitBatch
from compressor.scoring.answer_relevance import answer_log_odds
from compressor.scoring.base import Scores
from compressor.scoring.models import onnx_encoder
from compressor.scoring.word_vectors import load_word_vectors
from support.property_tests import given, st

PASSAGE = Passage(
    "When was Marie Curie born?",
    "Marie Curie",
    ("She was a physicist. She taught.", "Marie Curie was born in 1867.", "Ok", "She moved to Paris in 1891."),
    (False, True, False, False),
)
LONG = [{"title": "A", "text": "The red fox jumps. The dog sleeps."}, {"title": "B", "text": "Cats purr all day."}]


def everything(question: str, docs: Any, budget: int, _: Any) -> str:
    return "\n".join(f"{d['title']}: {d['text']}" for d in docs)


def nothing(question: str, docs: Any, budget: int, _: Any) -> str:
    return ""


def first_document(question: str, docs: Any, budget: int, _: Any) -> str:
    return everything(question, docs[:1], budget, count)


class Broken:
    """A tier whose model fails: the fast tier's scores, and a note."""

    name = "broken"

    def __init__(self) -> None:
        self.fast, self.calls = HeuristicScorer(), 0

    def score(self, query: Query, units: UnitBatch) -> Scores:
        self.calls += 1
        units.notes.append("broken: no model; scored by the fast tier instead")
        return self.fast.score(query, units)


# -- sentences


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=40))
def test_average_precision_is_the_area_under_the_steps(pairs_: list[tuple[int, bool]]) -> None:
    scores = np.array([float(s) for s, _ in pairs_])
    labels = np.array([y for _, y in pairs_])
    area, before = 0.0, 0.0
    for threshold in sorted(set(scores.tolist()), reverse=True):
        kept = scores >= threshold
        recall = (kept & labels).sum() / max(1, labels.sum())
        area += (recall - before) * (kept & labels).sum() / kept.sum()
        before = recall
    assert average_precision(scores, labels) == pytest.approx(area)


def test_a_perfect_rating_has_all_of_it_and_a_flat_one_the_share() -> None:
    asked = [PASSAGE] * 4
    perfect = pairs.measure(lambda _, p: [float(y) for y in p.labels], asked)
    assert (perfect["f1"], perfect["area"], perfect["within"]) == (1, 1, 1)
    flat = pairs.measure(lambda _, p: [0.0] * len(p.labels), asked)
    assert flat["area"] == flat["within"] == pytest.approx(0.25)
    assert flat["f1"] == pytest.approx(2 * 4 / (16 + 4))


def test_the_threshold_comes_from_the_other_half() -> None:
    one, other = PASSAGE, Passage("?", "", ("A b.", "C d."), (True, False))
    scores = {one.question: [0.0, 5.0, 1.0, 0.0], "?": [0.5, 0.1]}
    found = pairs.measure(lambda question, _: scores[question], [one, other])
    # 5, the best of the first, keeps none of the other; 0.5, the best of the other, two of the first
    assert found["f1"] == pytest.approx(2 * 1 / (2 + 2))


def test_units_belong_to_the_sentences_they_stand_in() -> None:
    _, units, shared = PASSAGE.units()
    assert shared.shape == (4, len(units))
    texts = [text.strip() for text in units.texts()]
    assert [[t for t, there in zip(texts, row, strict=True) if there] for row in shared] == [
        ["She was a physicist.", "She taught."],
        ["Marie Curie was born in 1867."],
        ["Ok She moved to Paris in 1891."],
        ["Ok She moved to Paris in 1891."],
    ]


def test_a_sentence_is_as_good_as_its_best_unit() -> None:
    texts = PASSAGE.units()[1].texts()
    rated = pairs.rate_sentences(lambda q, u: np.arange(len(u), dtype=np.float64))("", PASSAGE)
    assert rated[0] == 1 == texts.index(next(t for t in texts if "taught" in t))
    assert np.isfinite(rated).all()


def test_sentences_are_found_by_fast_and_by_words() -> None:
    assert np.argmax(pairs.rate_sentences(HeuristicScorer().score)("", PASSAGE)) == 1
    assert np.argmax(bm25(PASSAGE.question, PASSAGE.sentences)) == 1


# -- evidence


def test_evidence_counts_whole_cases_or_tokens() -> None:
    case = evidence.Case("?", LONG * 20, ("The red fox jumps.", "Cats purr all day."), ("A", "B"))
    for whole, method, kept in (
        (True, everything, 1),
        (True, first_document, 0),
        (False, everything, sum(case.tokens)),
        (False, first_document, case.tokens[0]),
        (False, nothing, 0),
    ):
        found = evidence.measure(method, [case], 4.0, whole)
        assert (found["kept"], found["asked"]) == (kept, 1 if whole else sum(case.tokens))
    assert evidence.measure(everything, [case], 4.0, True)["over"] == 1
    assert evidence.measure(everything, [case], 100.0, True)["cases"] == 0  # no room for the facts: nobody's fault


def written(path: Path, *objects: object) -> Path:
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, objects)).encode()))
    return path


def test_evidence_is_read_from_all_three_forms(tmp_path: Path) -> None:
    paragraphs = [
        {"title": "A", "sentences": ["One is.", " Two is."], "labels": [0, 1]},
        {"title": "B", "sentences": ["No."], "labels": [0]},
    ]
    found = list(evidence.labelled_sentences(written(tmp_path / "a.gz", {"question": "?", "paragraphs": paragraphs})))
    assert found == [evidence.Case("?", [*map(dict, found[0].documents)], ("Two is.",), ("A",))]
    assert found[0].documents[0] == {"title": "A", "text": "One is. Two is."}

    text = "Nothing here. It was in a rather long sentence that Snow lived, as people have always said."
    hop = {"question": "who", "answer": "snow", "paragraph_support_idx": 0}
    musique = {"question": "?", "paragraphs": [{"title": "S", "paragraph_text": text}], "question_decomposition": [hop]}
    (case,) = evidence.hop_answers(written(tmp_path / "b.gz", musique))
    assert "Snow" in case.facts[0] and case.facts[0] in text and case.titles == ("S",)

    turns = [{"speaker": "A", "content": c} for c in ("Hi .", "We will use red buttons on it .", "Yeah .", "Bye now .")]
    query = {"query": "Which buttons?", "relevant_text_span": [["1", "2"]]}
    meeting = {"meeting_transcripts": turns, "specific_query_list": [query]}
    (case,) = evidence.meetings(written(tmp_path / "c.gz", meeting))
    assert case.facts == ("We will use red buttons on it .",)
    assert case.documents[0]["text"].startswith("A: Hi .\nA: We will")


# -- columns


def test_a_tier_that_cannot_run_shows_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: str) -> HeuristicScorer:
        raise ModelError("no model at x")

    monkeypatch.setattr(columns, "make_scorer", missing)
    column = columns.tier_column("ours pruner")
    assert column.unavailable == "no model at x"
    assert column.run("documents", lambda _: pytest.fail("ran")) == {"state": "not run"}
    assert tiers._cell(column.run("rate", lambda _: {}), lambda found: "1.000") == "not run"


def test_a_tier_that_falls_back_at_once_is_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "make_scorer", lambda _: Broken())
    assert "no model" in columns.tier_column("ours pruner").unavailable


def test_fallbacks_are_counted_and_shown() -> None:
    once = CachingScorer(Broken())
    column = Column("x", rate=pairs.rate_sentences(once.score), scorer=once)
    found = column.run("rate", lambda rate: pairs.measure(rate, [PASSAGE, PASSAGE]))
    assert (found["fallbacks"], found["scored"]) == (2, 1)
    assert tiers._cell(found, lambda f: f"{f['f1']:.1f}").endswith("(2 fell back)")
    assert column.run("sessions", lambda _: {}) == {"state": "–"}


def test_the_same_units_are_scored_once() -> None:
    broken = Broken()
    once = CachingScorer(broken)
    (query, units, _), (_, again, _) = PASSAGE.units(), PASSAGE.units()
    assert (once.score(query, units) == once.score(query, again)).all()
    assert broken.calls == 1 and again.notes == units.notes
    once.score(Query((("else", 1.0),)), again)
    assert broken.calls == 2


def test_the_table_has_a_row_a_line_and_a_column_a_method(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def few(root: Path, limit: int | None) -> Iterator[tiers.Task]:
        case = evidence.Case("red fox?", LONG * 20, ("The red fox jumps.",), ("A",))
        yield tiers.Task("e", "4×", "documents", lambda m: evidence.measure(m, [case], 4.0, True), {"": tiers.kept})
        yield tiers.Task("s", "", "rate", lambda r: pairs.measure(r, [PASSAGE]), {", F1": lambda f: f"{f['f1']:.1f}"})

    monkeypatch.setattr(tiers, "tasks", few)
    report = tiers.run(tmp_path, None, ["ours", "BM25"])
    assert report.table[0] == ["what", "cut", "cases", "ours", "BM25"]
    assert [row[0] for row in report.table[1:]] == ["e", "s, F1"]
    assert report.table[1][3:] == ["1.000", "1.000"]
    assert {row["method"] for row in report.rows} == {"ours", "BM25"}
    json.dumps(report.rows)


def test_the_network_of_the_even_questions_is_only_there_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    query, units, _ = PASSAGE.units()
    other = replace(load_word_vectors(), mean=load_word_vectors().mean + 1)
    monkeypatch.setattr(held_out, "trained_on_even", lambda _: other)
    before = answer_log_odds(query, units)[0]
    with held_out.held_out_network(Path()):
        assert not np.allclose(answer_log_odds(query, units)[0], before)
    assert (answer_log_odds(query, units)[0] == before).all()


# -- throughput


def test_flops_are_those_of_the_module() -> None:
    torch = pytest.importorskip("torch")
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    from compressor.scoring.models import bert

    shape = Shape(tokens=32, batch=2, layers=2, hidden=64, inner=128, heads=4, vocabulary=100)
    module = bert.TokenClassifier(bert.BertConfig(100, 64, 2, 4, 128, 64, 2, 1e-12)).eval()
    ids = torch.ones(2, 32, dtype=torch.int64)
    written_out = sdpa_kernel(SDPBackend.MATH)  # the counter does not know the CPU's fused attention
    with FlopCounterMode(display=False) as counter, torch.inference_mode(), written_out:
        module(ids, torch.ones_like(ids), torch.zeros_like(ids))
    heads = 2 * 64 * (2 * 32 + 2)  # `keep` on every token, `document` on every text: not counted in the shape
    assert shape.flops * 64 == pytest.approx(counter.get_total_flops() - heads, rel=0.01)


def test_the_limit_is_the_lower_of_two() -> None:
    busy = Bound("bfloat16", "one", 50, flops=10, bytes=10, peak_flops=1e3, peak_bandwidth=1e6, source="measured")
    assert (busy.limit, busy.fraction) == (100, 0.5) and "limit is arithmetic" in str(busy)
    assert "limit is memory" in str(replace(busy, peak_bandwidth=1e2))


def test_requests_are_the_same_every_time_and_share_no_sentence() -> None:
    supply, again = throughput.requests(0), throughput.requests(0)
    (asked, one), (_, two) = next(supply), next(supply)
    assert next(again)[1].texts() == one.texts() and next(again)[1].texts() == two.texts()
    assert len(one.sources) == throughput.DOCUMENTS and asked.parts[0][0].endswith("?")
    assert len(throughput.sentences()) > 50
    tokens = sum(count(s.layout.text) for s in one.sources)
    assert float(one.costs.sum()) == pytest.approx(tokens, rel=0.1)
    assert not set(one.texts()) & set(two.texts())


def test_every_request_is_served_once_from_several_threads() -> None:
    supply = throughput.requests(1)
    cases = [next(supply) for _ in range(4)]
    served = throughput.serve(CachingScorer(Broken()), 3, cases)
    assert len(served.latencies) == 4 == served.fallbacks
    row = served.row()
    assert 0 < row["p50_ms"] <= row["p95_ms"] and row["tokens_per_second"] > 0


def test_an_error_in_a_request_is_not_lost() -> None:
    class Failing:
        name = "failing"

        def score(self, query: Query, units: UnitBatch) -> Scores:
            raise ModelError("broken")

    with pytest.raises(ModelError):
        throughput.serve(Failing(), 2, [next(throughput.requests(1))])


def test_ranks_agree_or_not() -> None:
    up = np.arange(10.0)
    assert throughput.ranks_agree(up, up**3) == pytest.approx(1)
    assert throughput.ranks_agree(up, -up) == pytest.approx(-1)


def test_the_reference_is_loaded_apart() -> None:
    from compressor.scoring import token_classifier
    from compressor.scoring.models import onnx_encoder

    before, key = onnx_encoder.is_available(), (Path("x"), "cpu")
    with throughput.plain_cpu():
        assert not onnx_encoder.is_available() and not token_classifier._classifiers
        token_classifier._classifiers[key] = None  # type: ignore[assignment]
    assert onnx_encoder.is_available() == before and key not in token_classifier._classifiers


def test_without_a_gpu_its_column_says_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPRESSOR_DEVICE", "cpu")
    monkeypatch.setattr(throughput, "TORCH", False)
    served = throughput.LoadResult([0.1, 0.2], 100, 0.3, 0)
    monkeypatch.setattr(throughput, "measure", lambda *_: [{"at_once": 1, **served.row()}])
    report = throughput.run(Path(), 2, ["ours", "ours pruner"])
    assert [row[:2] for row in report.table[1:]] == [["ours", "CPU"], ["ours pruner", "CPU"], ["ours pruner", "GPU"]]
    assert report.table[3][3] == "not run" and report.rows[2]["state"] == "not run"
    assert "COMPRESSOR_DEVICE=cpu" in report.notes[-1] or "as requested" in report.notes[-1]


@pytest.mark.slow
@pytest.mark.parametrize("label", TIERS)
def test_every_installed_tier_has_all_its_roles(label: str) -> None:
    column = columns.tier_column(label)
    if column.unavailable:
        pytest.skip(column.unavailable)
    case = evidence.Case("Who jumps, the red fox?", LONG * 20, ("The red fox jumps.",), ("A",))
    found = column.run("documents", lambda method: evidence.measure(method, [case], 4.0, True))
    assert (found["kept"], found["over"], found["fallbacks"], found["scored"]) == (1, 0, 0, 1)
    for role in ("rate", "alone"):
        if getattr(column, role):
            rated = column.run(role, lambda rate: pairs.measure(rate, [PASSAGE]))
            assert 0 < rated["within"] <= 1 and not rated["fallbacks"]


@pytest.mark.slow
@pytest.mark.parametrize("tier", [tier for tier in TIERS.values() if tier != "fast"])
def test_every_installed_tier_is_timed_and_compared_with_float32(tier: str) -> None:
    try:
        rows = throughput.measure(tier, "cpu", 2)
    except CompressorError as error:
        pytest.skip(str(error))
    assert [row["at_once"] for row in rows] == [1, 8]
    assert all(row["requests"] == 2 and not row["fallbacks"] for row in rows)
    assert rows[0]["rank_correlation"] > 0.9


@pytest.mark.moderate
def test_int8_has_a_limit_of_its_own() -> None:
    pytest.importorskip("onnx")
    if not onnx_encoder.is_available():
        pytest.skip("the extra onnx is not installed")
    found = ceiling_int8.bound(batch=2, side=128, copied=1 << 18)
    assert found.dtype == "int8" and found.tokens_per_second > 0 and found.limit > 0
    bounds = {"cpu": replace(found, dtype="float32"), throughput.INT8: found}
    chosen = throughput._bound_of("embedding", "cpu", bounds)
    assert chosen is found and throughput._bound_of("fast", "cpu", bounds) is None
    pruner = throughput._bound_of("pruner", "cpu", bounds)
    assert pruner is not None and pruner.dtype == "float32"
