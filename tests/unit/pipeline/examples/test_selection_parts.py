"""The parts of example selection: n-grams, the index, the greedy rules, classes, steps of reasoning."""

from __future__ import annotations

import itertools
import json
from typing import Any

import numpy as np
import pytest

from compressor import ContextError
from compressor.pipeline.examples import dpp, mmr
from compressor.pipeline.examples.answer_format import answer_format
from compressor.pipeline.examples.example import parse_example
from compressor.pipeline.examples.ngram_features import ngram_features, pack_features, unpack_features
from compressor.pipeline.examples.ngram_index import NgramIndex
from compressor.pipeline.examples.rationale_pruning import (
    KEEP_FRACTION,
    choose_steps_to_remove,
    remove_steps,
    split_steps,
)
from compressor.pipeline.examples.template import ExampleTemplate
from compressor.tokens import get_counter
from support.property_tests import given, settings, st

TEXTS = st.lists(st.text(max_size=30), max_size=12)


@given(TEXTS)
def test_features_do_not_depend_on_company(texts: list[str]) -> None:
    together = ngram_features(texts)
    assert len(together) == len(texts)
    for text, found in zip(texts, together, strict=True):
        assert np.array_equal(found, ngram_features([text])[0])
        assert np.array_equal(found, np.unique(found))
    again = unpack_features(pack_features(together))
    assert again is not None
    assert all(np.array_equal(a, b) for a, b in itertools.zip_longest(together, again, fillvalue=np.zeros(1)))


@pytest.mark.parametrize("data", [b"", b"abc", b"\x05\0\0\0", pack_features(ngram_features(["a b", "c"]))[:-4]])
def test_damaged_features_are_told(data: bytes) -> None:
    assert unpack_features(data) is None


def test_features_are_the_same_in_every_process() -> None:
    assert ngram_features(["Lost my card"])[0][:3].tolist() == [183077667, 186555590, 216509046]


@given(TEXTS, TEXTS, st.data())
def test_an_index_changed_is_the_index_made_anew(old: list[str], new: list[str], data: st.DataObject) -> None:
    gone = np.array([data.draw(st.booleans()) for _ in [*old, *new]], np.bool_)
    index = NgramIndex(ngram_features(old)).with_added(ngram_features(new)).without(gone)
    left = [t for t, out in zip([*old, *new], gone.tolist(), strict=True) if not out]
    made = NgramIndex(ngram_features(left))
    query = ngram_features(["lost card 42"])[0]
    for got, want in (
        (index.vocabulary, made.vocabulary),
        (index.lengths, made.lengths),
        (index.cosines(index.find_postings(query)), made.cosines(made.find_postings(query))),
        (index.pairwise_cosines(np.arange(len(left))), made.pairwise_cosines(np.arange(len(left)))),
    ):
        assert np.allclose(got, want)


def test_cosines_against_a_slow_reference() -> None:
    texts = ["freeze my account", "block my card now", "what is the weather", "", "my card"]
    found = ngram_features(texts)
    index = NgramIndex(found)
    weight = {int(k): 1 + np.log((1 + 5) / (1 + sum(k in f for f in found))) for f in found for k in f}
    asked = ngram_features(["my card is gone"])[0]
    length = np.sqrt(sum(weight[int(k)] ** 2 for k in asked if int(k) in weight))
    for row, f in enumerate(found):
        dot = sum(weight[int(k)] ** 2 for k in f if k in asked)
        own = np.sqrt(sum(weight[int(k)] ** 2 for k in f)) or 1.0
        assert index.cosines(index.find_postings(asked))[row] == pytest.approx(dot / own / length, abs=1e-5)


def _kernel(seed: int, k: int, kind: str) -> np.ndarray[Any, np.dtype[np.float32]]:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(k, 6)).astype(np.float32)
    if kind == "same":
        rows[:] = rows[0]
    elif kind == "near":
        rows[1:] = rows[0] + 1e-4 * rows[1:]
    elif kind == "zero":
        rows[::2] = 0
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
    out: np.ndarray[Any, np.dtype[np.float32]] = rows @ rows.T
    return out


@given(st.integers(0, 10_000), st.integers(1, 14), st.sampled_from(["random", "same", "near", "zero"]), st.booleans())
def test_greedy_rules_never_fail_on_bad_kernels(seed: int, k: int, kind: str, odd: bool) -> None:
    kernel = _kernel(seed, k, kind)
    quality = np.random.default_rng(seed).normal(size=k).astype(np.float32)
    if odd:
        quality[0] = np.nan
        kernel[0, -1] = np.inf
    with np.errstate(all="raise", under="ignore"):
        for out in (dpp.select_dpp(kernel, quality, k), mmr.select_mmr(kernel, quality, k)):
            assert len(set(out)) == len(out) <= k
            if kind == "same" and not odd:
                assert len(out) == 1
            if kind == "zero":
                assert all(row % 2 for row in out) or odd


def test_dpp_takes_what_determinants_say() -> None:
    for seed in range(30):
        kernel = _kernel(seed, 6, "random").astype(np.float64)
        quality = np.random.default_rng(seed).normal(size=6).astype(np.float32)
        whole = np.exp(quality)[:, None] * kernel * np.exp(quality)[None, :]
        picked: list[int] = []
        for _ in range(4):
            left = [i for i in range(6) if i not in picked]
            picked.append(max(left, key=lambda i: np.linalg.det(whole[np.ix_([*picked, i], [*picked, i])])))
        assert dpp.select_dpp(kernel.astype(np.float32), quality, 4) == picked


def test_an_aspect_counts_once() -> None:
    codes = np.array([0, 0, 1, -1])
    picked = dpp.select_dpp(
        np.eye(4, dtype=np.float32), np.array([0.3, 0.29, 0.2, 0.28], np.float32), 4, [(codes, 1.0)]
    )
    assert picked == [0, 2, 1, 3]


GSM = (
    "Let us look at what we have.\nTom has 3 boxes of 12 pens, so 3 * 12 = 36 pens.\nPens are nice to write with.\n"
    "He gives 6 away. That leaves 36 - 6 = 30.\n#### 30"
)


def test_steps_that_nothing_takes_up_go_first() -> None:
    example = parse_example({"question": "Tom has 3 boxes of 12 pens. He gives 6 away.", "answer": GSM}, 0)
    steps = split_steps(example)
    assert [GSM[s.start : s.end].strip() for s in steps] == [line.strip() for line in GSM.split("\n")[:3]]
    gone = choose_steps_to_remove(example, steps, get_counter(None).count)
    left = remove_steps(GSM, gone)
    assert "36 pens" in left and "nice to write" not in left
    assert left.endswith("He gives 6 away. That leaves 36 - 6 = 30.\n#### 30")
    assert example.with_text(left) == {**example.given, "answer": left}


@pytest.mark.parametrize(
    "given",
    [
        {"input": "Who?", "output": "A poem.\nIt has lines.\nMany lines.\nAnd no answer"},
        {"input": "2 + 2?", "output": "So the answer is 4."},
        {"input": "x", "output": "y", "rationale": "One step. And another."},
        {"input": "x", "output": 4},
        "just a text without any answer. It has sentences. Some of them.",
    ],
)
def test_what_may_be_the_answer_is_not_shortened(given: Any) -> None:
    assert split_steps(parse_example(given, 0)) == []


@given(st.lists(st.text("ab 1.\n", min_size=1, max_size=30), min_size=1, max_size=8), st.booleans())
def test_what_is_left_is_a_subsequence_with_the_end(parts: list[str], closed: bool) -> None:
    text = ". ".join(parts) + ("" if closed else "\n#### 7")
    given: dict[str, Any] = (
        {"input": "q", "output": "7", "rationale": text} if closed else {"input": "q", "output": text}
    )
    example = parse_example(given, 0)
    steps = split_steps(example)
    gone = choose_steps_to_remove(example, steps, get_counter(None).count)
    left = remove_steps(text, gone)
    assert left.endswith(text[steps[-1].end :] if steps else text)
    assert sum(s.end - s.start for s in gone) == len(text) - len(left)
    if gone:
        assert sum(get_counter(None).count(text[s.start : s.end]) for s in gone) <= (1 - KEEP_FRACTION) * (
            len(text) + 9
        )


@pytest.mark.parametrize(
    ("given", "asked", "answer", "label"),
    [
        ({"input": "a", "output": "b"}, "a", "b", "b"),
        ({"question": "a", "answer": 42}, "a", "42", "42"),
        ({"text": "a", "label": "x"}, "a", "x", "x"),
        ({"text": "a", "output": "long\nanswer", "label": 3}, "a", "long\nanswer", "3"),
        ("Q: a?\nA: b", "Q: a?\n", "b", "b"),
        ("send it -> mail", "send it", "mail", "mail"),
        ("only a text", "only a text", "", ""),
        ([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], "a", "b", "b"),
    ],
)
def test_shapes(given: Any, asked: str, answer: str, label: str) -> None:
    example = parse_example(given, 0)
    assert (example.question, example.answer, example.label) == (asked, answer, label)


@pytest.mark.parametrize(
    "given",
    [
        7,
        None,
        {},
        {"input": "a"},
        {"foo": 1, "bar": 2},
        [],
        [{"role": "user", "content": "a"}],
        [{"content": "a"}],
        ["a"],
    ],
)
def test_what_is_no_example_is_named(given: Any) -> None:
    with pytest.raises(ContextError, match="example 3") as caught:
        parse_example(given, 3)
    assert caught.value.index == 3


def test_templates() -> None:
    example = parse_example({"frage": "wie?", "n": 3}, 0, templated=True)
    assert ExampleTemplate("{frage} => {n}").render(example, 0) == "wie? => 3"
    assert ExampleTemplate(lambda e: e["frage"]).render(example, 0) == "wie?"
    with pytest.raises(ContextError, match="has a field 'antwort'"):
        ExampleTemplate("{frage} {antwort}").render(example, 1)
    with pytest.raises(ContextError, match="KeyError"):
        ExampleTemplate(lambda e: e["antwort"]).render(example, 1)
    for bad in ("{", "no field", "{a.__class__}", "{a[0]}", "{a!r}", "{a:>9}", "{}", "{0}"):
        with pytest.raises(ContextError):
            ExampleTemplate(bad)


def test_forms() -> None:
    answers = ["42", "$3.50", "(B)", "Yes.", '{"a": 1}', "```x```", "- a\n- b", "a\nb", "Paris", ""]
    forms = ["number", "number", "choice", "verdict", "json", "code", "list", "steps", "line", ""]
    assert [answer_format(a) for a in answers] == forms


@settings(max_examples=50)
@given(st.dictionaries(st.sampled_from(["input", "output", "note"]), st.text(max_size=20), min_size=1))
def test_any_mapping_is_read_or_refused(given: dict[str, str]) -> None:
    try:
        example = parse_example(given, 0)
    except ContextError:
        assert not {"input", "output"} <= set(given)
        return
    assert json.loads(example.original_text("")) == given
