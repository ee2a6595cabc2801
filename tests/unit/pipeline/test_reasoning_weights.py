"""Reasoning traces: what their sentences are, which repeat, and what is left of a trace when it is cut to a third."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import pytest

import compressor.pipeline.budget_selector as plan
from compressor import Compressor
from compressor.compressor import Mode
from compressor.pipeline.reasoning_weights import find_reasoning, reweight_reasoning
from compressor.scoring.base import Query, SourceBlock, UnitBatch
from compressor.text.reasoning_phrases import ReasoningKind, classify_sentence
from compressor.text.segmenters import segment_speech
from compressor.text.segmenters.span_layout import build_layout
from compressor.tokens import get_counter
from support.property_tests import given, st
from support.reasoning_traces import SAMPLES, UNSEEN, Sample

KINDS = {
    ReasoningKind.RESULT: [
        "Therefore the invariant holds for every n.",
        "So the answer is 42.",
        "Final answer: 17 apples.",
        "Found it: the bug is in `parse_header`.",
        "It turns out that the cache key lacks the tenant.",
        "All 38 tests pass now.",
        "The root cause of the leak is the unclosed cursor.",
        "Your reservation HAT136 has been cancelled.",
        "Okay, so this means the lock is taken twice.",
    ],
    ReasoningKind.DECISION: [
        "I'll go with the second option.",
        "We decided to store the timestamps in UTC.",
        "Use a deque instead of a list.",
        "I will keep the old signature for callers.",
        "Reading the file in chunks is the safest approach here.",
        "The user declined the travel insurance.",
    ],
    ReasoningKind.FAILED: [
        "I tried `pip install foo` but it failed with a resolver conflict.",
        "That does not work on Windows.",
        "The substitution x = 2t leads to a contradiction.",
        "Sorting first was a dead end.",
        "The request timed out again.",
        "We cannot import the module from there.",
    ],
    ReasoningKind.PLAN: [
        "First, I will read the configuration.",
        "Let's look at the router next.",
        "I should probably check the migrations.",
        "Now we need to find where the error is raised.",
        "Maybe I could use binary search.",
    ],
    ReasoningKind.CONNECTIVE: [
        "Wait, let me reconsider.",
        "Hmm.",
        "Okay, so...",
        "Let me think about this step by step.",
        "So the user wants to know how many tickets were sold.",
        "The question asks for the smallest such n.",
        "Actually, hold on.",
        "Let me double-check that.",
        "I need to be careful here.",
        "I'm going in circles.",
        "Let me know if you need anything else!",
    ],
    ReasoningKind.NEUTRAL: [
        "The file has 312 lines.",
        "If it fails, the caller sees None.",
        "If it fails, I'll retry with a longer timeout.",
        "Which date do you want to travel on?",
        "Die Datei hat 312 Zeilen.",
        "このファイルには312行があります。",
        "- Price: $158.89",
        "",
    ],
}


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in KINDS.items() for text in texts])
def test_a_sentence_is_what_its_words_say(kind: ReasoningKind, text: str) -> None:
    assert classify_sentence(text) == kind


def test_of_several_clauses_the_best_counts() -> None:
    assert (
        classify_sentence("Hmm, wait. Let me check. It failed with KeyError: 'id'. So I'll go with `.get`.")
        == ReasoningKind.DECISION
    )


def test_a_supposition_is_no_finding() -> None:
    for text in (
        "Maybe the answer is 42.",
        "What if the build fails?",
        "I wonder whether the root cause is the cache.",
    ):
        assert classify_sentence(text) < ReasoningKind.FAILED


@given(st.text(max_size=300))
def test_any_text_has_a_kind(text: str) -> None:
    assert classify_sentence(text) in set(ReasoningKind) - {ReasoningKind.REPEAT}


def sentence_units(*sentences: str, kind: str = "assistant") -> UnitBatch:
    text = "".join(s + " " for s in sentences)
    starts = np.concatenate([[0], np.cumsum([len(s) + 1 for s in sentences])[:-1]]).tolist()
    costs = np.full(len(sentences), 10, np.float32)
    return UnitBatch([SourceBlock(kind, build_layout("prose", text, starts), costs)])  # type: ignore[arg-type]


def repeated(*sentences: str) -> list[int]:
    return [i for i, kind in enumerate(find_reasoning(sentence_units(*sentences))) if kind == ReasoningKind.REPEAT]


def test_of_a_loop_the_last_round_is_left() -> None:
    a, b = "Maybe the parser drops the last token here.", "But the lexer emits every token of the line."
    assert repeated(a, b, a, b, a, b) == [0, 1, 2, 3]


def test_near_repeats_fold_and_the_newest_stays() -> None:
    assert repeated(
        "We should probably look at the order of the migrations once more.",
        "The table has a column for it.",
        "So we should probably look at the order of migrations once more.",
    ) == [0]
    assert repeated("Die Antwort steht in der zweiten Spalte.", "Die Antwort steht in der zweiten Spalte!") == [0]


@pytest.mark.parametrize(
    "sentences",
    [
        ("For n = 2 the sum over all pairs is 4.", "For n = 3 the sum over all pairs is 9."),
        ("I read src/a.py and saw nothing odd in there.", "I read src/b.py and saw nothing odd in there."),
        ("The balance of Alice is still open.", "The balance of Bob is still open."),
        ("The left branch fails.", "The right branch fails."),
    ],
)
def test_other_values_make_other_sentences(sentences: tuple[str, str]) -> None:
    assert repeated(*sentences) == []


def test_what_stays_anyway_need_not_be_said_again() -> None:
    question = "Which of the warehouses in Rotterdam shipped the damaged pallets in March?"
    units = sentence_units("Warehouses in Rotterdam shipped damaged pallets in March.", "Dock 7 holds the reefers.")
    assert find_reasoning(units, Query(retained_text=(question,))).tolist() == [
        ReasoningKind.CONNECTIVE,
        ReasoningKind.NEUTRAL,
    ]


def test_only_the_agents_own_words_are_weighed() -> None:
    words = ("Wait, let me reconsider.", "Therefore it is the cache.", "Wait, let me reconsider.")
    scores = np.array([1, 2, 3], np.float32)
    assert reweight_reasoning(scores, sentence_units(*words, kind="tool_result"), None) is scores
    weighed = reweight_reasoning(scores, sentence_units(*words), None)
    assert weighed[0] < weighed[2] < weighed[1]
    assert scores.tolist() == [1, 2, 3]


def test_a_scorer_that_sees_nothing_leaves_findings_on_top() -> None:
    weighed = reweight_reasoning(
        np.zeros(3, np.float32), sentence_units("Hmm, okay.", "The sky was grey.", "So the answer is 12."), None
    )
    assert np.isfinite(weighed).all() and weighed.tolist() == [0, 0, 0]


@given(st.lists(st.text(min_size=1, max_size=60), min_size=1, max_size=12), st.integers(0, 5))
def test_weighed_scores_are_scores(sentences: list[str], seed: int) -> None:
    units = UnitBatch(
        [
            SourceBlock("thinking", segment_speech(s), np.ones(len(segment_speech(s).spans), np.float32))
            for s in sentences
        ]
    )
    scores = np.random.default_rng(seed).random(len(units)).astype(np.float32)
    weighed = reweight_reasoning(scores, units, None)
    assert weighed.shape == scores.shape and weighed.dtype == np.float32
    assert np.isfinite(weighed).all() and (weighed >= 0).all()


def cut(sample: Sample, share: float, mode: Mode = "call") -> str:
    """What is left of a trace for which `share` of its tokens are there."""
    count = get_counter(None).count
    ask = "Thanks. Now write that down for the team, please."
    talk = [(sample.task, "user"), (sample.trace, "assistant"), (ask, "user")]
    messages = [{"role": role, "content": text} for text, role in talk]
    budget = count(sample.task) + count(ask) + 20 + int(share * count(sample.trace))
    left: str = Compressor(store="memory").compress(messages, budget, mode=mode).messages[1]["content"]
    assert count(left) <= share * count(sample.trace) + 20
    return left


def survival(samples: Sequence[Sample], share: float, mode: Mode) -> float:
    """The share of the needed sentences that is left."""
    found = [n in left for s in samples for left in [cut(s, share, mode)] for n in s.needed]
    return sum(found) / len(found)


@pytest.mark.moderate
@pytest.mark.parametrize("mode", ["call", "compact"])
def test_at_a_third_findings_survive_far_more_often(mode: Mode, monkeypatch: pytest.MonkeyPatch) -> None:
    with_traces = survival(SAMPLES, 1 / 3, mode)
    monkeypatch.setattr(plan, "reweight_reasoning", lambda scores, units, query: scores)
    assert with_traces >= survival(SAMPLES, 1 / 3, mode) + 0.3
    assert with_traces >= 0.85


@pytest.mark.moderate
@pytest.mark.parametrize("mode", ["call", "compact"])
@pytest.mark.parametrize("share", [0.6, 1 / 3])
def test_findings_of_traces_that_the_rules_were_not_made_on_survive_more_often(
    mode: Mode, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_traces = survival(UNSEEN, share, mode)
    monkeypatch.setattr(plan, "reweight_reasoning", lambda scores, units, query: scores)
    assert with_traces > survival(UNSEEN, share, mode)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda s: s.name)
def test_final_results_survive_a_cut_by_forty_percent_and_one_to_a_third(sample: Sample) -> None:
    """TokenSkip (arXiv 2502.12067) leaves out 40 % of a trace without losing its answer; so do we, and more."""
    for share in (0.6, 1 / 3):
        left = cut(sample, share)
        assert all(text in left for text in sample.final)


@pytest.mark.moderate
def test_time_grows_with_the_text_also_where_everything_repeats() -> None:
    def seconds(n: int) -> float:
        units = sentence_units(
            *[f"Wait, maybe the {'left right upper lower'.split()[i % 4]} one is it." for i in range(n)]
        )
        units.index.pairs  # noqa: B018  (read before, as the scorer does)
        start = time.thread_time()
        find_reasoning(units)
        return time.thread_time() - start

    seconds(100)
    assert min(seconds(4_000) for _ in range(3)) < 40 * max(min(seconds(400) for _ in range(3)), 1e-3)
