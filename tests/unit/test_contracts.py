"""The nine contracts, on generated contexts in every dialect. Each test fails if one is ignored."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from compressor import BudgetTooSmallError, Compressor, Result
from compressor.context.formats import detect_format
from compressor.context.model import Context
from compressor.context.refs import PLACEHOLDER_RE, find_refs
from compressor.storage import open_store
from compressor.tokens import get_counter
from support.property_tests import HealthCheck, given, settings, st
from support.strategies import anthropic_contexts, langchain_contexts, openai_chat_contexts, responses_contexts

contexts = st.one_of(openai_chat_contexts(), anthropic_contexts(), responses_contexts(), langchain_contexts())
shares = st.floats(0.05, 0.95)
SLOW = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


def as_json(messages: list[Any]) -> str:
    return json.dumps(messages, default=lambda m: m.model_dump() if hasattr(m, "model_dump") else str(m))


def parsed(messages: list[Any]) -> Context:
    return detect_format(messages).parse(messages)


def compressed(c: Compressor, messages: list[Any], budget: int | float, **options: Any) -> Result | None:
    try:
        return c.compress(messages, budget, **options)
    except BudgetTooSmallError as error:
        assert error.needed > error.budget
        return None


@SLOW
@given(contexts, shares)
def test_budget_is_hard_and_counted_as_billed(messages: list[Any], share: float) -> None:
    c = Compressor(store="memory")
    r = compressed(c, messages, share)
    if r is None:
        return
    counter = get_counter(None)
    assert r.tokens_before == counter.count_context(parsed(messages))
    assert r.tokens_after == counter.count_context(parsed(r.messages)) <= max(r.budget, 1)
    assert r.budget == max(1, int(share * r.tokens_before))


@SLOW
@given(contexts, shares)
def test_input_is_not_written_to_and_output_is_deterministic(messages: list[Any], share: float) -> None:
    before = copy.deepcopy(messages)
    first = compressed(Compressor(store="memory"), messages, share)
    assert as_json(messages) == as_json(before)
    second = compressed(Compressor(store="memory"), before, share)
    assert (first is None) == (second is None)
    if first is not None and second is not None:
        assert as_json(first.messages) == as_json(second.messages)


@SLOW
@given(contexts, shares)
def test_compressing_the_output_again_changes_nothing(messages: list[Any], share: float) -> None:
    c = Compressor(store="memory")
    r = compressed(c, messages, share)
    if r is None:
        return
    for budget in (share, r.budget):
        assert as_json(c.compress(r.messages, budget).messages) == as_json(r.messages)


@SLOW
@given(contexts, shares)
def test_pinned_stays_pairs_hold_and_roles_keep_their_text(messages: list[Any], share: float) -> None:
    r = compressed(Compressor(store="memory"), messages, share)
    if r is None:
        return
    before, after = parsed(messages).turns, parsed(r.messages).turns  # parse refuses orphans of either kind
    ids = [i for t in after for i in t.call_ids]
    assert ids == [i for t in before for i in t.call_ids if i in set(ids)]
    assert [s.text for t in before if t.role == "system" for s in t.slots] == [
        s.text for t in after if t.role == "system" for s in t.slots
    ]
    users = [[s.text for s in t.slots if s.kind == "user"] for t in before if t.role == "user"]
    users_after = [[s.text for s in t.slots if s.kind == "user"] for t in after if t.role == "user"]
    if users:
        assert users_after[0] == users[0]
        assert users_after[-1] == users[-1]
    # Trust: what stands in a user or system turn stood there before, marks aside.
    said = "\n".join(s.text for t in before if t.role in ("user", "system") for s in t.slots)
    for t in after:
        for s in t.slots:
            if t.role in ("user", "system") and s.kind == "user" and s.text not in said:
                assert PLACEHOLDER_RE.search(s.text)


@SLOW
@given(contexts, shares)
def test_json_still_parses_and_nothing_is_lost(messages: list[Any], share: float) -> None:
    c = Compressor(store="memory")
    r = compressed(c, messages, share)
    if r is None:
        return
    for block in r.blocks:
        if block.action == "excerpt" and block.layout == "json":
            json.loads(block.after)
        if block.ref is not None:
            if "messages cut ref" in block.after:  # the first of a run of messages carries the ref of all of them
                assert block.before in c.expand(find_refs(block.after)[0])
            else:
                assert block.ref in find_refs(block.after) or not block.after
            if block.kind != "image":
                assert c.expand(block.ref) == block.before
    texts = {b.block: b.before for b in r.blocks}
    for d in r.dropped:
        assert texts[d.block][d.span[0] : d.span[1]] in c.expand(d.ref) or d.kind == "image"
    cut = {b.block for b in r.blocks if b.action in ("excerpt", "dropped") and b.before}
    assert cut == {d.block for d in r.dropped if texts[d.block]}


@SLOW
@given(contexts)
def test_a_roomy_budget_gives_the_same_objects(messages: list[Any]) -> None:
    r = Compressor(store="memory").compress(messages, 10_000_000)
    assert len(r.messages) == len(messages)
    assert all(a is b for a, b in zip(r.messages, messages, strict=True))
    assert r.ratio == 1.0 and r.dropped == [] and r.tokens_after == r.tokens_before


@SLOW
@given(contexts, shares)
def test_ingest_touches_only_the_newest_tool_results(messages: list[Any], share: float) -> None:
    r = compressed(Compressor(store="memory"), messages, share, mode="ingest")
    if r is None:
        return
    turns = parsed(messages).turns
    last = max((t.index for t in turns if t.role == "assistant"), default=-1)
    assert len(r.messages) == len(messages)
    for turn, old, new in zip(turns, messages, r.messages, strict=True):
        assert old is new or (turn.index > last and turn.result_call_ids)


@pytest.mark.parametrize("name", ["memory", "sqlite"])
def test_refs_survive_in_the_store(name: str, tmp_path: Any) -> None:
    spec = "memory" if name == "memory" else f"sqlite:///{tmp_path / 'refs.db'}"
    store = open_store(spec)
    log = "\n".join(f"2024-05-01 12:00:{i % 60:02d} INFO worker-{i} finished job {i * 7919}" for i in range(400))
    messages = [
        {"role": "user", "content": "Which job did worker-77 finish?"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "logs", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": log},
    ]
    r = Compressor(store=store).compress(messages, 0.2)
    (ref,) = find_refs(r.messages[2]["content"])
    assert "worker-77 " in r.messages[2]["content"]
    assert Compressor(store=store if name == "memory" else spec).expand(ref) == log
