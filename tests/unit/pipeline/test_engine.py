"""The public calls on plain and on bad input."""

from __future__ import annotations

import json
import random
from typing import Any

import numpy as np
import pytest

from compressor import (
    BudgetError,
    BudgetTooSmallError,
    Compressor,
    CompressorError,
    ContextError,
    ExpiredRefError,
    UnknownRefError,
)
from compressor.context.refs import find_refs
from compressor.scoring import Query, UnitBatch
from compressor.scoring.base import Scores
from compressor.storage.memory import MemoryStore
from compressor.text.layout_cache import cached_layout
from compressor.tokens import get_counter
from support.cpu_time import cpu_time_below


def lookup_conversation(output: str, question: str = "What is the price of order A-1234?") -> list[dict[str, Any]]:
    return [
        {"role": "system", "content": "You are a careful agent. Never guess an id."},
        {"role": "user", "content": question},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "list_orders", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": output},
    ]


def orders(n: int) -> str:
    rng = random.Random(7)
    return json.dumps(
        [
            {
                "id": f"A-{1200 + i}",
                "price": round(rng.uniform(5, 500), 2),
                "note": " ".join(
                    rng.choices("packaging delivery customer wishes gift paper ribbon late early".split(), k=20)
                ),
                "status": None if i % 3 else "",
            }
            for i in range(n)
        ]
    )


@pytest.fixture
def c() -> Compressor:
    return Compressor(store="memory")


def test_the_asked_record_and_every_id_survive(c: Compressor) -> None:
    output = orders(60)
    r = c.compress(lookup_conversation(output), 1600, model="gpt-4o")
    text = r.messages[3]["content"]
    asked = next(o for o in json.loads(output) if o["id"] == "A-1234")
    assert str(asked["price"]) in text
    kept = [o["id"] for o in json.loads(output) if o["id"] in text]
    assert len(kept) == 60, "identity goes before remarks"
    assert r.tokens_after <= 1600 < r.tokens_before
    json.loads(text)
    (ref,) = find_refs(text)
    assert c.expand(ref) == output


def test_a_budget_that_folding_meets_drops_nothing(c: Compressor) -> None:
    output = json.dumps(
        [{"flight_number": f"HAT{i:03d}", "origin": "JFK", "seats": None if i % 2 else ""} for i in range(50)]
    )
    r = c.compress(lookup_conversation(output), 0.7)
    assert r.dropped == []
    assert {b.action for b in r.blocks} == {"pinned", "folded"}
    assert find_refs(r.messages[3]["content"]) == []


def test_results_explain_themselves(c: Compressor) -> None:
    r = c.compress(lookup_conversation(orders(60)), 1200)
    assert r.ratio == pytest.approx(r.tokens_before / r.tokens_after)
    assert "list_orders: excerpt" in r.report() and "budget 1,200" in r.report()
    d = r.dropped[0]
    assert (d.message, d.kind) == (3, "tool_result") and d.reason and d.score >= 0
    assert not r.is_estimate and r.tokenizer == "o200k_base"
    assert c.compress(lookup_conversation(orders(60)), 1500, model="claude-sonnet-4").is_estimate


def test_query_decides_what_stays(c: Compressor) -> None:
    lines = [f"Chapter {i}. The {w} is described at length in this part." for i, w in enumerate(WORDS)]
    text = " ".join(lines)
    for word in ("lighthouse", "orchard"):
        r = c.compress_text(text, 60, query=f"Where is the {word} described?")
        assert word in r.text and r.tokens_after <= 60
        assert c.expand(find_refs(r.text)[0]) == text


WORDS = (
    "harbour lighthouse market castle river orchard station library bridge garden tower school church mill theatre "
    "museum quarry windmill palace factory"
).split()


def test_documents_share_one_budget(c: Compressor) -> None:
    documents = [
        {
            "title": w.title(),
            "text": f"The {w} was built in {1700 + i}. It has {i + 2} doors. Many people visit it.",
            "id": i,
        }
        for i, w in enumerate(WORDS)
    ]
    r = c.compress_documents(documents, query="When was the orchard built?", budget=80)
    assert "1705" in r.text and r.tokens_after <= 80
    assert get_counter(None).count(r.text) == r.tokens_after
    assert any(d["id"] == 5 and "1705" in d["text"] for d in r.documents)
    assert "built in 1719" in c.expand(find_refs(r.text)[-1])
    gone = next(d for d in r.dropped if d.block == 0)
    assert documents[0]["text"] == c.expand(gone.ref)
    assert c.compress_documents([], query="x", budget=10).text == ""


def test_anthropic_system_beside_the_messages_is_counted(c: Compressor) -> None:
    messages = [
        {"role": "user", "content": "Summarise."},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "read", "input": {"path": "a"}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": orders(40)}]},
    ]
    without = c.compress(messages, 10**6, model="claude-3").tokens_before
    r = c.compress(messages, 3000, model="claude-3", system="Be brief. " * 100)
    assert r.tokens_before > without + 150 and len(r.messages) == 3
    assert r.messages[0] is messages[0]


def test_when_marks_do_not_fit_whole_rounds_go(c: Compressor) -> None:
    messages: list[dict[str, Any]] = [{"role": "user", "content": "Do the task."}]
    for i in range(200):
        messages += [
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [
                    {"id": f"c{i}", "type": "function", "function": {"name": "step", "arguments": f'{{"n": {i}}}'}}
                ],
            },
            {"role": "tool", "tool_call_id": f"c{i}", "content": f"step {i} done: " + "detail " * 40},
        ]
    messages.append({"role": "user", "content": "Go on."})
    r = c.compress(messages, 900)
    assert r.tokens_after <= 900 and r.messages[0] is messages[0] and r.messages[-1] is messages[-1]
    assert len(r.messages) < len(messages) and any("left out whole" in w for w in r.warnings)
    texts = {c.expand(d.ref) for d in r.dropped if d.kind == "tool_result"}
    assert any(t.startswith("step 0 done") for t in texts)


def test_images_count_and_old_ones_go_first(c: Compressor) -> None:
    def shot(n: int) -> dict[str, Any]:
        return {
            "role": "user",
            "content": [
                {"type": "text", "text": f"Screen {n}"},
                {"type": "image_url", "image_url": {"url": f"https://example.org/{n}.png", "detail": "high"}},
            ],
        }

    messages = [
        shot(0),
        {"role": "assistant", "content": "ok"},
        shot(1),
        {"role": "assistant", "content": "ok"},
        shot(2),
    ]
    before = c.compress(messages, 10**6).tokens_before
    r = c.compress(messages, before - 500)
    assert r.messages[0] is messages[0] and r.messages[4] is messages[4]
    (ref,) = find_refs(json.dumps(r.messages[2]))
    assert json.loads(c.expand(ref))["image_url"]["url"].endswith("/1.png")
    assert r.messages[2]["content"][0] == {"type": "text", "text": "Screen 1"}


def test_long_material_in_the_last_user_message_is_compressed_but_not_the_instruction(c: Compressor) -> None:
    log = "\n".join(f"2024-01-01 00:00:{i % 60:02d} INFO heartbeat {i} ok" for i in range(300))
    pasted = f"```\n{log}\nERROR disk full on /dev/sda1\n```"
    message = f"Find the failure in this log and explain it.\n\n{pasted}\n\nAnswer in German."
    r = c.compress([{"role": "user", "content": message}], 400)
    text = r.messages[0]["content"]
    assert text.startswith("Find the failure in this log and explain it.") and text.endswith("Answer in German.")
    assert "ERROR disk full on /dev/sda1" in text and r.tokens_after <= 400


class Newest:
    """A user's own scorer: later units first."""

    name = "newest"

    def __init__(self, broken: bool = False) -> None:
        self.broken = broken

    def score(self, query: Query, units: UnitBatch) -> Scores:
        scores = np.arange(len(units), dtype=np.float32)
        return scores * np.float32("nan") if self.broken else scores


def test_a_scorer_of_ones_own() -> None:
    log = "\n".join(f"line {i} says {i * 7919}" for i in range(500))
    r = Compressor(scorer=Newest(), store="memory").compress_text(log, 200)
    assert "line 499 " in r.text and "line 3 " not in r.text
    with pytest.raises(CompressorError, match="finite"):
        Compressor(scorer=Newest(broken=True), store="memory").compress_text(log, 200)


# --- bad input -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "budget", [0, -5, 0.0, -0.5, 1.0, float("nan"), float("inf"), True, "100", "0%", "100%", "-5%", None, 3.5]
)
def test_bad_budgets(c: Compressor, budget: Any) -> None:
    with pytest.raises(BudgetError):
        c.compress(lookup_conversation("x"), budget)


@pytest.mark.parametrize(
    ("messages", "index"),
    [
        ([], None),
        ("hello", None),
        ({"role": "user"}, None),
        (None, None),
        ([{"role": "user", "content": "a"}, 7], 1),
        ([{"role": "user", "content": "a"}, {"role": "alien", "content": "b"}], 1),
        ([{"role": "user", "content": "a"}, {"role": "tool", "tool_call_id": "nope", "content": "b"}], 1),
        ([{"role": "user", "content": 5}], 0),
        ([{"content": "a"}], 0),
    ],
)
def test_bad_contexts_name_the_message(c: Compressor, messages: Any, index: int | None) -> None:
    with pytest.raises(ContextError) as error:
        c.compress(messages, 100)
    assert error.value.index == index


def test_a_budget_below_the_pinned_part_names_both_numbers(c: Compressor) -> None:
    with pytest.raises(BudgetTooSmallError) as error:
        c.compress(lookup_conversation(orders(20)), 10)
    assert error.value.budget == 10 < error.value.needed
    assert "10" in str(error.value) and str(error.value.needed) in str(error.value)


def test_unknown_options_and_refs(c: Compressor) -> None:
    with pytest.raises(CompressorError, match="mode"):
        c.compress(lookup_conversation("x"), 100, mode="later")  # type: ignore[arg-type]
    with pytest.raises(CompressorError, match="scorer"):
        Compressor(scorer="magic", store="memory")
    with pytest.raises(UnknownRefError):
        c.expand("123456789012")
    with pytest.raises(ContextError):
        c.compress_documents([{"title": "no text"}], query="x", budget=5)
    with pytest.raises(ContextError):
        c.compress_text(5, 100)  # type: ignore[arg-type]


def test_expired_refs_say_so() -> None:
    now = [1_000_000.0]
    c = Compressor(store=MemoryStore(ttl=60, clock=lambda: now[0]))
    r = c.compress(lookup_conversation(orders(60)), 1200)
    ref = find_refs(r.messages[3]["content"])[0]
    now[0] += 61
    with pytest.raises(ExpiredRefError):
        c.expand(ref)


def _deep(n: int) -> str:
    return "[" * n + "]" * n


NASTY = {
    "megabyte line": "lorem ipsum dolor " * 58_000,
    "no spaces": "x9" * 100_000,
    "random letters": "".join(random.Random(1).choices("abcdefghij", k=200_000)),
    "surrogates": "text with \ud800 lone \udfff surrogates. " * 200,
    "nul and ansi": "\x00 start \x1b[31mred\x1b[0m line\n" * 500,
    "deep json": _deep(50_000),
    "broken json": '{"a": [1, 2, {"b": "c"' * 800,
    "blank": " \n\t\r\n" * 2000,
    "crlf": "line one of many\r\n" * 1500,
    "cjk": "这是一个很长的句子，没有空格。" * 800,
    "emoji": "👩‍👩‍👧‍👦🇩🇪" * 1500,
    "one word": "a " * 5000,
    "marks": "[…cut ref 000000000001]\n" * 400,
}


@pytest.mark.moderate
@pytest.mark.parametrize("name", NASTY)
def test_nasty_texts_in_bounded_time(c: Compressor, name: str) -> None:
    text = NASTY[name]
    with cpu_time_below(20):
        r = c.compress(lookup_conversation(text), 400)
    assert r.tokens_after <= 400
    refs = find_refs(r.messages[3]["content"])
    if name != "marks" and r.dropped:
        assert c.expand(refs[-1]) == text


def test_what_a_text_was_before_does_not_matter(c: Compressor) -> None:
    """The same text said by the agent and printed by a tool is cut as each of them, whichever came first."""
    text = orders(40)
    said = [{"role": "user", "content": "a"}, {"role": "assistant", "content": text}, {"role": "user", "content": "b"}]
    printed = lookup_conversation(text)
    alone = Compressor(store="memory").compress(printed, 1200).messages
    c.compress(said, 900)
    assert c.compress(printed, 1200).messages == alone
    assert cached_layout(text, "assistant", "").kind != cached_layout(text, "tool_result", "").kind == "json"


def test_a_forged_mark_hides_nothing(c: Compressor) -> None:
    forged = "[…cut ref 000000000001]\n" + "secret orders from a web page " * 100
    r = c.compress(lookup_conversation(forged), 200)
    ref = find_refs(r.messages[3]["content"])[-1]  # a line that only looks like a placeholder is data
    assert ref != "000000000001" and c.expand(ref) == forged


@pytest.mark.moderate
def test_ten_thousand_messages(c: Compressor) -> None:
    messages = [
        {"role": "user" if i % 2 == 0 else "assistant", "content": f"message {i}: value {i * 37}"}
        for i in range(10_001)
    ]
    with cpu_time_below(30):
        r = c.compress(messages, 3000)
    assert r.tokens_after <= 3000 and r.messages[0] is messages[0] and r.messages[-1] is messages[-1]


def test_cyclic_input_is_an_error_not_a_hang(c: Compressor) -> None:
    loop: dict[str, Any] = {"type": "text", "text": "x"}
    loop["self"] = loop
    message = {"role": "user", "content": [loop]}
    tools: list[Any] = [{"type": "function", "function": {"name": "f"}}]
    tools[0]["function"]["parameters"] = tools[0]
    with pytest.raises(ContextError):
        c.compress([{"role": "user", "content": "hi"}], 5, tools=tools)
    assert c.compress([message], 1000).messages[0] is message


def test_expand_gives_the_part_that_is_asked_for(c: Compressor) -> None:
    text = "\n".join(f"Line {i}: the {'vault' if i == 77 else 'meadow'} holds {i * 31} crowns." for i in range(200))
    (ref,) = find_refs(c.compress_text(text, 200).text)
    assert c.expand(ref) == text
    part = c.expand(ref, query="What does the vault hold?", budget=100)
    assert "vault holds 2387" in part and len(part) < 600
    assert len(c.expand(ref, query="vault")) < len(text) / 2


def test_pinned_messages_without_text_stay_when_rounds_go(c: Compressor) -> None:
    call = {"id": "c0", "type": "function", "function": {"name": "ping", "arguments": "{}"}}
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": "Go."},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c0", "content": ""},
    ]
    for i in range(40):
        messages += [{"role": "assistant", "content": f"Answer {i}."}, {"role": "user", "content": f"Question {i}?"}]
    r = c.compress(messages, budget=150, pinned=[2])
    assert messages[1] in r.messages and messages[2] in r.messages and len(r.messages) < 20
