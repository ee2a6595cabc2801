"""Neighbouring messages that are dropped share one placeholder."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compressor import Compressor
from compressor.context.formats import detect_format
from compressor.context.refs import find_refs
from compressor.pipeline.budget_selector import REDUNDANT
from compressor.scoring import Query, UnitBatch
from compressor.scoring.base import Scores

TOWNS = "Ulm Bonn Kiel Trier Mainz Halle Jena Gera Celle Hamm".split()
RUN = re.compile(r"\[…(\d+) messages cut ref (\d{12})\]")


class WordMatch:
    """Rates units by the words of the query, so that these tests do not depend on the real scorer."""

    name = "words"

    def score(self, query: Query, units: UnitBatch) -> Scores:
        words = set(re.findall(r"\w+", query.parts[0][0]))
        shared = [len(words & set(re.findall(r"\w+", text))) for text in units.texts()]
        return np.array([0.1 + 10 * n * n for n in shared], np.float32) / units.costs


@pytest.fixture
def c() -> Compressor:
    return Compressor(store="memory", scorer=WordMatch())


def chat(count: int, style: str = "openai_chat") -> list[Any]:
    """A chat of short messages: a question and its answer, again and again."""
    lines = ["I want to talk about my journeys."]
    for i in range(count):
        lines += [f"Where did you go in {1900 + i}, and who was there?", f"I went to {TOWNS[i % 10]} with Ann{i}."]
    lines += ["Is there anything else?", "Whom did I meet in 1917?"]
    roles = ["user", *("assistant" if i % 2 == 0 else "user" for i in range(len(lines) - 1))]
    if style == "langchain":
        messages = pytest.importorskip("langchain_core.messages")
        return [
            (messages.HumanMessage if role == "user" else messages.AIMessage)(content=text)
            for role, text in zip(roles, lines, strict=True)
        ]
    if style == "anthropic":
        parts = [[{"type": "text", "text": text}] for text in lines]
        parts[0][0]["cache_control"] = {"type": "ephemeral"}  # type: ignore[assignment]
        return [{"role": role, "content": part} for role, part in zip(roles, parts, strict=True)]
    if style == "openai_responses":
        kinds = {"user": "input_text", "assistant": "output_text"}
        return [
            {"type": "message", "role": role, "content": [{"type": kinds[role], "text": text}]}
            for role, text in zip(roles, lines, strict=True)
        ]
    return [{"role": role, "content": text} for role, text in zip(roles, lines, strict=True)]


def texts(messages: list[Any]) -> list[str]:
    context = detect_format(messages, None).parse(messages, None)
    return [slot.text for turn in context.turns for slot in turn.slots]


@pytest.mark.parametrize("style", ["openai_chat", "openai_responses", "anthropic", "langchain"])
@pytest.mark.parametrize("fraction", [0.5, 0.25, 0.1])
def test_a_run_costs_one_placeholder(c: Compressor, style: str, fraction: float) -> None:
    messages = chat(60, style)
    whole = c.compress(messages, 10**9).tokens_before
    budget = int(whole * fraction)
    result = c.compress(messages, budget)
    assert 0.9 * budget <= result.tokens_after <= budget and not result.warnings
    shown, given = texts(result.messages), texts(messages)
    assert shown[0] == given[0] and shown[-1] == given[-1]
    assert all(shown), "no message is empty"
    cut = sum(int(found[1]) for text in shown if (found := RUN.fullmatch(text)))
    runs = [found for text in shown if (found := RUN.fullmatch(text))]
    single = sum(text.startswith("[…cut ref") for text in shown)
    assert cut + len(shown) - len(runs) == len(given) and single == 0
    left = iter(given)
    for text in shown:  # the order stays, and each run's ref returns exactly what is missing there
        if found := RUN.fullmatch(text):
            missing = [next(left) for _ in range(int(found[1]))]
            original = c.expand(found[2])
            assert [part.split("]\n", 1)[1] for part in original.split("\n\n")] == missing
        else:
            assert next(left) == text
    assert any("Ann17" in text for text in shown)


def test_every_dropped_message_has_a_ref_of_its_own(c: Compressor) -> None:
    messages = chat(60)
    result = c.compress(messages, 400)
    gone = {d.message for d in result.dropped}
    for dropped in result.dropped:
        assert c.expand(dropped.ref) == messages[dropped.message]["content"]
    reports = {b.message: b for b in result.blocks}
    assert all(reports[i].action == "dropped" for i in gone)
    shown = sum(b.tokens_after for b in result.blocks)
    assert shown < result.tokens_after  # what left the request is not counted as sent
    assert len(messages) - len(gone) == sum(not RUN.fullmatch(text) for text in texts(result.messages))


def test_a_chat_that_is_cut_again_joins_its_runs(c: Compressor) -> None:
    messages = chat(60)
    now = messages
    for budget in (900, 500, 250, 120):
        now = c.compress(now, budget).messages
        assert c.compress(now, budget).messages == now
        runs = [(i, found) for i, text in enumerate(texts(now)) if (found := RUN.fullmatch(text))]
        assert all(b - a > 1 for (a, _), (b, _) in pairwise(runs)), "neighbours are joined"
        assert sum(int(found[1]) for _, found in runs) + len(now) - len(runs) == len(messages)
        for _, found in runs:
            assert len(c.expand(found[2]).split("\n\n")) == int(found[1])


def test_user_and_agent_are_chosen_from_one_pool(c: Compressor) -> None:
    messages = chat(60)
    shown = texts(c.compress(messages, 500).messages)
    kept = [text for text in shown if not RUN.fullmatch(text)]
    assert any(text.startswith("I went") for text in kept) and any(text.startswith("Where did") for text in kept)
    assert sum(text.startswith("I went") for text in kept) < 40


def test_a_question_stays_with_its_answer(c: Compressor) -> None:
    messages = chat(60)
    for i in range(2, len(messages) - 2, 2):
        messages[i]["content"] = f"With somebody called {TOWNS[i % 10]}{i}."
    messages[-1]["content"] = f"Who is {TOWNS[6]}46?"
    shown = texts(c.compress(messages, 300).messages)
    at = shown.index(f"With somebody called {TOWNS[6]}46.")
    assert shown[at - 1] == messages[45]["content"]


def mixed(count: int) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = [{"role": "user", "content": "Build the shed."}]
    for i in range(count):
        call = {"id": f"c{i}", "type": "function", "function": {"name": "look", "arguments": json.dumps({"page": i})}}
        output = "\n".join(f"page {i} line {k}: wood {k * 7}" for k in range(20))
        messages += [
            {"role": "user", "content": f"Note {i}: I bought {i + 2} boards."},
            {"role": "assistant", "content": f"Noted, {i + 2} boards."},
            {"role": "user", "content": "Look at the next page."},
            {"role": "assistant", "content": "", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": f"c{i}", "content": output},
            {"role": "assistant", "content": f"Page {i} lists wood."},
        ]
    return [*messages, {"role": "user", "content": "How many boards are in note 7?"}]


@pytest.mark.parametrize("fraction", [0.6, 0.3, 0.15, 0.07, 0.04])
def test_rounds_leave_whole_and_nothing_is_lost(c: Compressor, fraction: float) -> None:
    messages = mixed(20)
    budget = int(c.compress(messages, 10**9).tokens_before * fraction)
    result = c.compress(messages, budget)
    assert result.tokens_after <= budget
    detect_format(result.messages, None).parse(result.messages, None)  # calls keep their results
    behind = "\n".join(c.expand(d.ref) for d in result.dropped)
    shown = "\n".join(str(m.get("content")) for m in result.messages)
    behind += "\n".join(c.expand(ref) for ref in find_refs(shown))
    for message in messages:
        assert message["content"] in behind or message["content"] in shown


def test_a_message_with_other_parts_never_leaves(c: Compressor) -> None:
    messages = chat(30)
    recording = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
    messages[9] = {"role": messages[9]["role"], "content": [{"type": "text", "text": "Hear."}, recording]}
    result = c.compress(messages, 250)
    assert any(m is messages[9] for m in result.messages)
    at = next(i for i, m in enumerate(result.messages) if m is messages[9])
    runs = [i for i, text in enumerate(texts(result.messages)) if RUN.fullmatch(text)]
    assert min(runs) < at < max(runs)


def test_pinned_messages_end_a_run(c: Compressor) -> None:
    messages = chat(60)
    result = c.compress(messages, 200, pinned=[40, 41])
    assert [m for m in result.messages if m is messages[40] or m is messages[41]] == messages[40:42]


@given(
    st.lists(st.tuples(st.sampled_from(["user", "assistant"]), st.integers(1, 40)), max_size=40), st.integers(40, 400)
)
@settings(max_examples=60, deadline=None)
def test_any_chat_keeps_order_and_budget(turns: list[tuple[str, int]], budget: int) -> None:
    c = Compressor(store="memory")
    middle = [
        {"role": role, "content": " ".join(f"{TOWNS[(i + k) % 10]}{i}" for k in range(size))}
        for i, (role, size) in enumerate(turns)
    ]
    messages = [{"role": "user", "content": "Hello."}, *middle, {"role": "user", "content": "Ulm3?"}]
    result = c.compress(messages, budget)
    assert result.tokens_after <= budget or result.tokens_after == result.tokens_before
    shown = texts(result.messages)
    cut = sum(int(found[1]) - 1 for text in shown if (found := RUN.fullmatch(text)))
    if not result.warnings:  # with a warning, some messages are left out without a placeholder
        assert len(shown) + cut == len(messages)
    for dropped in result.dropped:
        start, end = dropped.span
        assert c.expand(dropped.ref)[start:end] == messages[dropped.message]["content"][start:end]


def test_a_repeat_is_only_named_where_it_is_kept(c: Compressor) -> None:
    line = "The key of the mill is under the stone number 4711 at the gate of Ulm."
    once = "\n".join(f"plank {i} lies at {i * 7}" for i in range(60))
    result = c.compress_text(f"{line}\n{once}\n{line}", 60, query="Where is plank 30?")
    for dropped in result.dropped:
        text = c.expand(dropped.ref)[slice(*dropped.span)]
        if dropped.reason == REDUNDANT:
            assert all(word in result.text for word in text.split() if word.isdigit() or word.istitle())


def test_scores_may_be_negative() -> None:
    class ShortestFirst:
        name = "shortest-first"

        def score(self, query: Query, units: UnitBatch) -> Scores:
            return -units.costs

    result = Compressor(scorer=ShortestFirst(), store="memory").compress(chat(60), 400)
    assert 300 < result.tokens_after <= 400
