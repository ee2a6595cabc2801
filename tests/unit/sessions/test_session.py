"""Sessions: what is sent stays byte-stable, legal and within the budget, and nothing is lost."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from compressor import (
    BudgetError,
    BudgetTooSmallError,
    Compressor,
    CompressorError,
    ContextError,
)
from compressor.context.formats import detect_format
from compressor.context.refs import find_refs
from compressor.sessions import Policy, ToolRule
from support.property_tests import given, settings, st
from support.session_tools import (
    SESSION_KINDS,
    Message,
    compressor_of_sessions,
    conversation,
    prose,
    replay,
    text,
    tokens,
)


@pytest.fixture(params=SESSION_KINDS)
def c(request: pytest.FixtureRequest) -> Iterator[Compressor]:
    compressor = compressor_of_sessions(request.param)
    yield compressor
    compressor.close()


def test_small_history_goes_out_as_it_is(c: Compressor) -> None:
    messages = conversation(2, sentences=3)
    session = c.session("a")
    session.append(*messages)
    view = session.view()
    assert view == messages and session.cost_report().saved_cost == 0
    assert all(a is b for a, b in zip(view, messages, strict=True))


@pytest.mark.moderate
def test_prefix_stays_between_compactions_and_every_view_is_legal(c: Compressor) -> None:
    session = c.session("a", model="gpt-4o", budget=6_000)
    compactions, last = 0, ""
    for view in replay(session, conversation(40)):
        detect_format(view).parse(view)  # pairs, order
        assert tokens(view) <= 6_000
        assert view[0]["content"] == "You are a careful clerk." and "Never delete a record." in view[1]["content"]
        sent = text(view)[:-1]
        if not sent.startswith(last):
            compactions += 1
        last = sent
    assert 1 <= compactions <= session.cost_report().compactions <= 20


def test_tool_result_is_cut_at_birth_and_never_again_until_a_compaction(c: Compressor) -> None:
    session = c.session("a", policy=Policy(compact=False))
    messages = conversation(3, sentences=200)
    session.append(*messages[:4])
    born = session.view()[3]
    assert (
        0 < tokens([messages[0], born | {"role": "user"}]) < 0.7 * tokens([messages[0], messages[3] | {"role": "user"}])
    )
    session.append(*messages[4:])
    assert session.view()[3] == born
    (ref,) = find_refs(born["content"])
    assert session.expand(ref) == messages[3]["content"]


def test_view_is_idempotent(c: Compressor) -> None:
    session = c.session("a", budget=4_000)
    session.append(*conversation(12))
    first = session.view()
    balance = session.cost_report()
    assert session.view() == first and session.cost_report() == balance


@pytest.mark.moderate
def test_nothing_is_lost_by_compaction(c: Compressor) -> None:
    messages = conversation(40, sentences=20)
    session = c.session("a", budget=4_000, policy=Policy(target=("tokens", 1_500)))
    replay(session, messages)
    shown = text(session.view())
    reached, todo = shown, find_refs(shown)
    seen: set[str] = set()
    while todo:
        ref = todo.pop()
        if ref not in seen:
            seen.add(ref)
            original = session.expand(ref)
            reached += original
            todo += find_refs(original)
    for message in messages:
        assert message["content"] in reached or json.dumps(message["content"])[1:-1] in reached, message


def test_user_constraints_and_pins_survive(c: Compressor) -> None:
    session = c.session("a", budget=3_000, policy=Policy(target=("tokens", 1_200)))
    session.append(*conversation(6))
    session.append({"role": "user", "content": "From now on, only use metric units. The weather is fine."})
    session.append({"role": "assistant", "content": "Understood."})
    session.append({"role": "user", "content": "My cat is called Willow."}, pin=True)
    session.append(*[m for m in conversation(40, seed=1) if m["role"] in ("assistant", "tool")])
    session.compact()
    shown = text(session.view())
    assert session.cost_report().compactions
    assert "only use metric units." in shown and "My cat is called Willow." in shown


@pytest.mark.moderate
def test_index_stands_in_a_tool_message(c: Compressor) -> None:
    session = c.session("a", budget=3_000, policy=Policy(target=("tokens", 1_200)))
    replay(session, conversation(30))
    roles = [m["role"] for m in session.view() if "index of earlier rounds" in (m["content"] or "")]
    assert roles == ["tool"]


@pytest.mark.moderate
def test_chat_without_tools_is_compacted_too(c: Compressor) -> None:
    session = c.session("a", budget=3_000, policy=Policy(target=("tokens", 1_200)))
    for i in range(40):
        session.append({"role": "user", "content": f"Question {i}? {prose(i, 5)}"})
        assert tokens(session.view()) <= 3_000
        session.append({"role": "assistant", "content": f"Answer {i}. {prose(100 + i, 5)}"})
    session.append({"role": "user", "content": "And now?"})
    view = session.view()
    assert tokens(view) <= 3_000 and view[-1]["content"] == "And now?"
    assert not any("index of earlier" in m["content"] for m in view if m["role"] == "user")


def test_same_result_again_becomes_a_note(c: Compressor) -> None:
    session = c.session("a")
    messages = conversation(2)
    messages[5]["content"] = messages[3]["content"]
    session.append(*messages)
    view = session.view()
    assert "the result of call c0" in view[5]["content"] and len(view[5]["content"]) < 120
    assert session.expand(view[5]["content"]) == messages[3]["content"]


@pytest.mark.moderate
def test_tool_rules(c: Compressor) -> None:
    messages = conversation(1, sentences=200)
    kept = c.session("kept", policy=Policy(tools={"look": ToolRule(never_compress=True)}))
    kept.append(*messages)
    assert kept.view() == messages
    for i in range(30):
        call = {"id": f"x{i}", "type": "function", "function": {"name": "read", "arguments": "{}"}}
        kept.append({"role": "assistant", "content": None, "tool_calls": [call]})
        kept.append({"role": "tool", "tool_call_id": f"x{i}", "content": prose(i)})
    assert kept.compact() and all(m in kept.view() for m in messages)
    most = c.session("most", policy=Policy(tools={"*": ToolRule(max_tokens=200)}))
    most.append(*messages)
    assert tokens(most.view()) < 300
    with pytest.raises(CompressorError):
        ToolRule(max_tokens=0)


def test_parallel_calls_are_born_together(c: Compressor) -> None:
    calls = [{"id": i, "type": "function", "function": {"name": "look", "arguments": "{}"}} for i in "xy"]
    session = c.session("a")
    session.append({"role": "user", "content": "Go."}, {"role": "assistant", "content": None, "tool_calls": calls})
    session.append({"role": "tool", "tool_call_id": "x", "content": prose(1, 150)})
    with pytest.raises(ContextError, match="'y' has no result"):
        session.view()
    session.append({"role": "tool", "tool_call_id": "y", "content": prose(2, 150)})
    assert len(find_refs(text(session.view()))) == 2


def test_bad_messages_change_nothing(c: Compressor) -> None:
    session = c.session("a")
    session.append(*conversation(1))
    before = session.view()
    bad: list[Any] = [{"role": "tool", "tool_call_id": "nobody", "content": "x"}, 7, {"content": "no role"}, {"a": {1}}]
    for message in bad:
        with pytest.raises(ContextError):
            session.append({"role": "user", "content": "fine"}, message)
        assert session.view() == before
    with pytest.raises(ContextError, match="empty"):
        c.session("b").view()
    with pytest.raises(CompressorError, match="id"):
        c.session("")


@pytest.mark.parametrize("budget", [0, -1, True, 1.5, "5", "$", "$0", float("nan")])
def test_bad_budgets(c: Compressor, budget: Any) -> None:
    with pytest.raises(BudgetError):
        c.session("a", budget=budget)


def test_budget_as_share_and_money(c: Compressor) -> None:
    messages = conversation(30)
    for budget in ("$0.01", 0.03):
        session = c.session(str(budget), model="gpt-4o", budget=budget)  # $2.50 a million tokens, a window of 128,000
        session.append(*messages)
        assert tokens(session.view()) <= 4_000


def test_impossible_budget_says_so(c: Compressor) -> None:
    session = c.session("a", budget=20)
    session.append(*conversation(1))
    with pytest.raises(BudgetTooSmallError):
        session.view()


def test_note_of_a_repeat_does_not_outlive_what_it_names(c: Compressor) -> None:
    messages = conversation(14)
    messages[-1]["content"] = messages[3]["content"]
    session = c.session("a", budget=100_000, policy=Policy(target=("tokens", 1_500), compact=False))
    session.append(*messages)
    assert "the result of call c0" in session.view()[-1]["content"]
    assert session.compact()
    assert session.view()[-1]["content"] == messages[3]["content"]


def test_pinned_messages_of_compress(c: Compressor) -> None:
    messages = conversation(6)
    result = c.compress(messages, budget=2_000, pinned=[5, -3])
    assert result.messages[5] is messages[5] and result.messages[-3] is messages[-3]
    assert result.messages[7] != messages[7]
    for wrong in ([99], [-99], ["5"], [True]):
        with pytest.raises(ContextError, match="pinned"):
            c.compress(messages, budget=2_000, pinned=wrong)  # type: ignore[arg-type]


@st.composite
def histories(draw: st.DrawFn) -> list[list[Message]]:
    """Steps of a conversation: user words, answers, rounds with several calls, of any length."""
    steps: list[list[Message]] = [[{"role": "user", "content": draw(st.sampled_from(["Go on.", prose(1, 4)]))}]]
    for i in range(draw(st.integers(1, 25))):
        seed, size = draw(st.integers(0, 30)), draw(st.integers(1, 60))
        match draw(st.integers(0, 3)):
            case 0:
                steps.append([{"role": "assistant", "content": prose(seed, 3)}])
                steps.append([{"role": "user", "content": f"{prose(seed, 2)} You must keep vault {i} shut."}])
            case _:
                ids = [f"c{i}.{k}" for k in range(draw(st.integers(1, 3)))]
                calls = [{"id": k, "type": "function", "function": {"name": "look", "arguments": "{}"}} for k in ids]
                steps.append([{"role": "assistant", "content": None, "tool_calls": calls}])
                steps.append([{"role": "tool", "tool_call_id": k, "content": prose(seed + len(k), size)} for k in ids])
    return steps


@pytest.mark.moderate
@given(histories(), st.sampled_from([2_500, 6_000, 50_000]), st.integers(0, 2**16))
@settings(max_examples=40, deadline=None)
def test_any_history(steps: list[list[Message]], budget: int, seed: int) -> None:
    """Budget, pairs, constraints, prefix: whatever comes in, by append or follow, with restarts in between."""
    compressor, rng = Compressor(store="memory"), random.Random(seed)
    session = compressor.session("a", budget=budget, policy=Policy(target=("tokens", 1_500)))
    seen: list[Message] = []
    last, compactions = "", 0
    for step in steps:
        seen += step
        if rng.random() < 0.3:
            session.sync(seen)
        else:
            session.append(*step)
        if step[-1]["role"] == "assistant":
            continue
        try:
            view = session.view()
        except BudgetTooSmallError as error:
            assert error.needed > budget
            return
        detect_format(view).parse(view)
        assert tokens(view) <= budget
        sent = text(view)
        for message in seen:
            if message["role"] == "user" and "You must" in message["content"]:
                assert message["content"][message["content"].index("You must") :] in sent
        now = session.cost_report().compactions
        assert now > compactions or sent.startswith(last)
        last, compactions = sent[:-1], now
        if rng.random() < 0.2:
            session = compressor.session("a", budget=budget, policy=Policy(target=("tokens", 1_500)))
            assert session.view() == view
