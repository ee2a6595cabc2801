"""A block of examples for the prompt cache: the same for all queries, typical, of all labels, and billed as cached."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import pytest

from compressor import BudgetError, BudgetTooSmallError, Compressor, CompressorError, ExampleStore
from compressor.pipeline.examples.example_messages import calls
from compressor.tokens import get_counter
from compressor.tokens.price import Price
from support.labelled_examples import SOLVED
from support.property_tests import given, settings, st

C = Compressor(store="memory")
WORDS = {
    "card": ["lost card", "card stolen", "block my card"],
    "balance": ["my balance", "how much money", "money on my account"],
    "loan": ["need a loan", "borrow money", "credit for a car"],
    "weather": ["is it raining", "sun tomorrow", "weather forecast"],
}
BANK = [
    {"input": f"{before} {words} {i}", "output": label}
    for label, some in WORDS.items()
    for i in range(6)
    for before in ("please", "hi")
    for words in some
]
QUERIES = ["i lost my card", "how much is on my account", "will the sun shine", "zzz", "borrow"]
PRICE = Price.custom(name="test", input=10.0, output=0.0, cache_read=1.0, cache_write=12.5, min_cacheable_tokens=100)


def select(query: str | None, budget: int = 260, cached_budget: Any = 200, bank: Any = BANK, **options: Any) -> Any:
    return C.select_examples(bank, query, budget, "gpt-4o", cached_budget=cached_budget, **options)


def test_the_block_is_the_same_for_all_queries_and_the_rest_is_about_the_query() -> None:
    blocks = set()
    for query in QUERIES:
        found = select(query)
        assert found.text.startswith(found.cached_text) and found.tokens_after <= 260
        count = get_counter("gpt-4o").count
        assert found.cached_tokens == count(found.cached_text) <= 200
        assert found.messages[: 2 * found.cached_count] == found.cached_messages
        assert len(set(found.indices)) == len(found.indices) > found.cached_count
        assert [BANK[i] for i in found.indices] == found.examples
        blocks.add(found.cached_text)
    assert len(blocks) == 1
    labels = [e["output"] for e in found.examples[: found.cached_count]]
    assert max(map(labels.count, WORDS)) - min(map(labels.count, WORDS)) <= 1
    last = select("i lost my card")
    assert last.examples[-1]["output"] == "card"
    assert select(None).text == last.cached_text


def test_the_block_is_the_same_in_every_process() -> None:
    program = (
        "from tests_bank import BANK; from compressor import Compressor\n"
        "print(Compressor(store='memory').select_examples(BANK, 'zzz', 260, 'gpt-4o', cached_budget=200).cached_text)"
    ).replace("from tests_bank import BANK", f"BANK = {BANK!r}")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == select("x").cached_text + "\n"
    store = ExampleStore("memory")
    store.add(BANK)
    assert store.select("q", 260, "gpt-4o", cached_budget=200).cached_text == select("x").cached_text
    assert (
        asyncio.run(store.aselect("q", 260, model="gpt-4o", cached_budget=200)).cached_text == select("x").cached_text
    )


def test_wrong_labels_do_not_enter_the_block() -> None:
    wrong = [{"input": f"please lost card {i}", "output": "weather"} for i in range(100, 104)]
    found = select(None, bank=[*wrong, *BANK])
    assert found.cached_count > 8
    assert not [e for e in found.examples if e in wrong]


def test_labels_that_neighbours_do_not_share_are_in_the_block() -> None:
    phrases = {
        "cancel": ("please cancel my {}", "i no longer want the {}", "how do i get rid of my {}"),
        "lost": ("i lost my {}", "where has my {} gone", "somebody took my {}"),
        "fees": ("what does the {} cost", "is the {} free", "which fees has the {}"),
        "renew": ("my {} runs out soon", "extend the {} by a year", "how long is my {} valid"),
    }
    things = ("card", "savings account", "loan", "phone contract", "insurance", "newsletter", "parking permit")
    for count in (6, 7):
        bank = [
            {"input": phrase.format(thing), "output": f"{verb}_{thing}"}
            for verb, some in phrases.items()
            for thing in things[:count]
            for phrase in some
        ]
        found = select("my loan is gone", 800, 700, bank)
        assert len({example["output"] for example in found.examples[: found.cached_count]}) == 4 * count


@settings(max_examples=25)
@given(st.integers(20, 500), st.floats(0.05, 1.0), st.sampled_from(QUERIES), st.booleans())
def test_the_budget_holds(budget: int, part: float, query: str, as_messages: bool) -> None:
    bank: list[Any] = SOLVED + BANK[::5]
    if as_messages:
        bank = [[{"role": "user", "content": e["input"]}, {"role": "assistant", "content": e["output"]}] for e in BANK]
    try:
        found = select(query, budget, max(1, int(part * budget)), bank)
    except BudgetTooSmallError as error:
        assert error.needed > error.budget
        return
    assert found.cached_tokens <= found.tokens_after <= budget
    assert found.cached_tokens <= max(1, int(part * budget))
    assert len(set(found.indices)) == len(found.indices)


def test_calls_in_the_block_keep_their_ids() -> None:
    call = {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}"}}],
    }
    result = {"role": "tool", "tool_call_id": "c", "content": "ok"}
    bank = [
        [{"role": "user", "content": f"weather on day {i}"}, call, result, {"role": "assistant", "content": "ok"}]
        for i in range(20)
    ]
    found = [select(query, 400, 200, bank) for query in ("day 3", "day 19")]
    assert found[0].cached_messages == found[1].cached_messages
    for one in found:
        assert one.messages[: len(one.cached_messages)] == one.cached_messages
        ids = [id for message in one.messages for id, _, _ in calls(message)]
        assert len(set(ids)) == len(ids) == len(one.examples)


def test_the_bill() -> None:
    found = select("i lost my card")
    own = found.tokens_after - found.cached_tokens
    bill = found.bill(1_000, PRICE, writes=4)
    assert (bill.calls, bill.uncached) == (1_000, 1_000 * own)
    assert (bill.cache_written, bill.cached) == (4 * found.cached_tokens, 996 * found.cached_tokens)
    want = (1_000 * own * 10 + 4 * found.cached_tokens * 12.5 + 996 * found.cached_tokens * 1) / 1e6
    assert bill.cost_usd == pytest.approx(want)
    assert found.bill(10, "gpt-4o").cached == 0  # shorter than what the provider caches
    assert found.bill(0, PRICE, writes=0).cost_usd == 0
    plain = C.select_examples(BANK, "i lost my card", 60)
    assert plain.cached_count == plain.cached_tokens == 0 and plain.cached_text == ""
    assert plain.bill(2, PRICE).uncached == 2 * plain.tokens_after
    for calls_, writes in ((1, 2), (-1, 0), (3, -1)):
        with pytest.raises(CompressorError, match="writes must be between"):
            found.bill(calls_, PRICE, writes=writes)


def test_wrong_budgets() -> None:
    with pytest.raises(BudgetError, match="a part of the budget of 50 tokens"):
        select("x", 50, 60)
    with pytest.raises(BudgetTooSmallError, match="cached_budget"):
        select("x", 50, 1)
    found = select("x", 100_000, 100_000)
    assert found.cached_count == len(BANK) == len(found.examples)
    tight = select("i lost my card", 202, 200)
    assert tight.cached_count == len(tight.examples)
    assert tight.warnings and "fits beside the cached block" in tight.warnings[0]
    assert select("x", 50, 10, bank=[]).examples == []
