"""Sessions: what is sent stays byte-stable, legal and within the budget; nothing is lost; state survives anything."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compressor import (
    BudgetTooSmall,
    Compressor,
    CompressorError,
    ExpiredRef,
    InvalidBudget,
    InvalidContext,
    UnknownRef,
)
from compressor.dialects import detect
from compressor.refs import find_refs
from compressor.sessions import Conversation, Policy, ToolRule
from compressor.store import MemoryStore
from compressor.summaries import summarizer
from compressor.tokens import counter_for

Message = dict[str, Any]
WORDS = "harbour lantern gravel orbit maple cobalt ferry pillar walnut signal meadow copper".split()


def prose(seed: int, sentences: int = 30) -> str:
    rng = random.Random(seed)
    return " ".join(
        f"The {rng.choice(WORDS)} near the {rng.choice(WORDS)} holds {rng.randrange(10**6)} units."
        for _ in range(sentences)
    )


def conversation(rounds: int, seed: int = 0, sentences: int = 30) -> list[Message]:
    """A task, then rounds of one tool call each."""
    out: list[Message] = [
        {"role": "system", "content": "You are a careful clerk."},
        {"role": "user", "content": "Find out where the copper is stored. Never delete a record."},
    ]
    for i in range(rounds):
        call = {"id": f"c{i}", "type": "function", "function": {"name": "look", "arguments": f'{{"page": {i}}}'}}
        out.append({"role": "assistant", "content": f"Looking at page {i}.", "tool_calls": [call]})
        out.append({"role": "tool", "tool_call_id": f"c{i}", "content": prose(1000 * seed + i, sentences)})
    return out


@pytest.fixture
def c() -> Iterator[Compressor]:
    compressor = Compressor(store="memory")
    yield compressor
    compressor.close()


def text(messages: list[Any]) -> str:
    return json.dumps(messages, ensure_ascii=False)


def tokens(messages: list[Any], model: str = "gpt-4o") -> int:
    return counter_for(model).context(detect(messages).parse(messages))


def replay(session: Any, messages: list[Message]) -> list[list[Any]]:
    """All views, one before each assistant message, and one at the end."""
    views = []
    for message in messages:
        if message["role"] == "assistant":
            views.append(session.view())
        session.append(message)
    return [*views, session.view()]


def test_small_history_goes_out_as_it_is(c: Compressor) -> None:
    messages = conversation(2, sentences=3)
    session = c.session("a")
    session.append(*messages)
    view = session.view()
    assert view == messages and session.balance().saved_money == 0
    assert all(a is b for a, b in zip(view, messages, strict=True))


def test_prefix_stays_between_compactions_and_every_view_is_legal(c: Compressor) -> None:
    session = c.session("a", model="gpt-4o", budget=6_000)
    compactions, last = 0, ""
    for view in replay(session, conversation(40)):
        detect(view).parse(view)  # pairs, order
        assert tokens(view) <= 6_000
        assert view[0]["content"] == "You are a careful clerk." and "Never delete a record." in view[1]["content"]
        sent = text(view)[:-1]
        if not sent.startswith(last):
            compactions += 1
        last = sent
    assert 1 <= compactions <= session.balance().compactions <= 20


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
    balance = session.balance()
    assert session.view() == first and session.balance() == balance


def test_nothing_is_lost_by_compaction(c: Compressor) -> None:
    messages = conversation(40, sentences=20)
    session = c.session("a", budget=4_000, policy=Policy(low=1_500))
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
    session = c.session("a", budget=3_000, policy=Policy(low=1_200))
    session.append(*conversation(6))
    session.append({"role": "user", "content": "From now on, only use metric units. The weather is fine."})
    session.append({"role": "assistant", "content": "Understood."})
    session.append({"role": "user", "content": "My cat is called Willow."}, pin=True)
    session.append(*[m for m in conversation(40, seed=1) if m["role"] in ("assistant", "tool")])
    session.compact()
    shown = text(session.view())
    assert session.balance().compactions
    assert "only use metric units." in shown and "My cat is called Willow." in shown


def test_index_stands_in_a_tool_message(c: Compressor) -> None:
    session = c.session("a", budget=3_000, policy=Policy(low=1_200))
    replay(session, conversation(30))
    roles = [m["role"] for m in session.view() if "index of earlier rounds" in (m["content"] or "")]
    assert roles == ["tool"]


def test_chat_without_tools_is_compacted_too(c: Compressor) -> None:
    session = c.session("a", budget=3_000, policy=Policy(low=1_200))
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


def test_tool_rules(c: Compressor) -> None:
    messages = conversation(1, sentences=200)
    kept = c.session("kept", policy=Policy(tools={"look": ToolRule(keep=True)}))
    kept.append(*messages)
    assert kept.view() == messages
    for i in range(30):
        call = {"id": f"x{i}", "type": "function", "function": {"name": "read", "arguments": "{}"}}
        kept.append({"role": "assistant", "content": None, "tool_calls": [call]})
        kept.append({"role": "tool", "tool_call_id": f"x{i}", "content": prose(i)})
    assert kept.compact() and all(m in kept.view() for m in messages)
    most = c.session("most", policy=Policy(tools={"*": ToolRule(most=200)}))
    most.append(*messages)
    assert tokens(most.view()) < 300
    with pytest.raises(CompressorError):
        ToolRule(most=0)


def test_parallel_calls_are_born_together(c: Compressor) -> None:
    calls = [{"id": i, "type": "function", "function": {"name": "look", "arguments": "{}"}} for i in "xy"]
    session = c.session("a")
    session.append({"role": "user", "content": "Go."}, {"role": "assistant", "content": None, "tool_calls": calls})
    session.append({"role": "tool", "tool_call_id": "x", "content": prose(1, 150)})
    with pytest.raises(InvalidContext, match="'y' has no result"):
        session.view()
    session.append({"role": "tool", "tool_call_id": "y", "content": prose(2, 150)})
    assert len(find_refs(text(session.view()))) == 2


def test_bad_messages_change_nothing(c: Compressor) -> None:
    session = c.session("a")
    session.append(*conversation(1))
    before = session.view()
    bad: list[Any] = [{"role": "tool", "tool_call_id": "nobody", "content": "x"}, 7, {"content": "no role"}, {"a": {1}}]
    for message in bad:
        with pytest.raises(InvalidContext):
            session.append({"role": "user", "content": "fine"}, message)
        assert session.view() == before
    with pytest.raises(InvalidContext, match="empty"):
        c.session("b").view()
    with pytest.raises(CompressorError, match="id"):
        c.session("")


@pytest.mark.parametrize("budget", [0, -1, True, 1.5, "5", "$", "$0", float("nan")])
def test_bad_budgets(c: Compressor, budget: Any) -> None:
    with pytest.raises(InvalidBudget):
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
    with pytest.raises(BudgetTooSmall):
        session.view()


def test_resumed_session_has_the_same_view(tmp_path: Any) -> None:
    path = str(tmp_path / "s.db")
    messages = conversation(30)
    first = Compressor(store=path)
    session = first.session("a", budget=4_000)
    views = replay(session, messages[:40])
    first.close()
    second = Compressor(store=path)
    resumed = second.session("a", budget=4_000)
    assert resumed.view() == views[-1]
    twin = Compressor(store="memory").session("a", budget=4_000)
    replay(twin, messages[:40])
    for message in messages[40:]:
        resumed.append(message)
        twin.append(message)
        if message["role"] == "tool":
            assert resumed.view() == twin.view()
    assert resumed.balance() == twin.balance()


def test_two_workers_on_one_session(tmp_path: Any) -> None:
    path = str(tmp_path / "s.db")
    a, b = (Compressor(store=path).session("a", budget=4_000) for _ in range(2))
    messages = conversation(20)
    for i, message in enumerate(messages):
        (a, b)[i % 2].append(message)
        if message["role"] == "tool":
            assert a.view() == b.view()


def test_many_threads_lose_nothing(c: Compressor) -> None:
    sessions = [c.session("a") for _ in range(4)]
    sessions[0].append({"role": "user", "content": "Start."})

    async def work() -> None:
        await asyncio.gather(
            *(
                s.aappend({"role": "user", "content": f"word {k} {i}"})
                for k, s in enumerate(sessions)
                for i in range(10)
            )
        )

    asyncio.run(work())
    said = sorted(m["content"] for m in c.session("a").view())
    assert said == sorted(["Start.", *(f"word {k} {i}" for k in range(4) for i in range(10))])


def test_follow_is_idempotent_and_goes_back(c: Compressor) -> None:
    messages = conversation(20)
    session = c.session("a", policy=Policy(compact=False))
    session.follow(messages[:12])
    first = session.view()
    session.follow(messages[:12])
    assert session.view() == first
    session.follow(messages)
    assert session.view()[:12] == first
    changed = [*messages[:10], {"role": "user", "content": "Forget that; where is the maple?"}]
    session.follow(changed)
    assert session.view()[:10] == first[:10] and session.view()[-1] == changed[-1]
    session.follow([{"role": "user", "content": "A new history."}])
    assert session.view() == [{"role": "user", "content": "A new history."}]


def test_follow_equals_append(c: Compressor) -> None:
    messages = conversation(30)
    by_append, by_follow = c.session("a", budget=4_000), c.session("b", budget=4_000)
    for i, message in enumerate(messages):
        by_append.append(message)
        if message["role"] == "tool":
            by_follow.follow(messages[: i + 1])
            assert by_append.view() == by_follow.view()


def test_follow_does_not_mind_moving_cache_borders(c: Compressor) -> None:
    def marked(messages: list[Message], at: int) -> list[Message]:
        out = [
            {**m, "content": [{"type": "text", "text": m["content"]}]} if m["role"] == "user" else m for m in messages
        ]
        out[at] = {**out[at], "content": [{**out[at]["content"][0], "cache_control": {"type": "ephemeral"}}]}
        return out

    messages = [{"role": "user", "content": f"{i} {prose(i)}"} for i in range(3)]
    session = c.session("a")
    session.follow(marked(messages[:2], 1))
    session.follow(marked(messages, 2))
    view = session.view()
    assert [("cache_control" in m["content"][0]) for m in view] == [False, False, True]


def test_conversation_state_is_json_and_enough(c: Compressor) -> None:
    messages = conversation(30)
    talk = Conversation(c, budget=4_000, scope="t")
    talk.follow(messages[:30])
    view, state = talk.view(), json.loads(json.dumps(talk.state))
    again = Conversation(c, budget=4_000, scope="t", state=state)
    again.follow(messages[:30])
    assert again.view() == view and not again.changed
    again.follow(messages)
    talk.follow(messages)
    assert again.view() == talk.view()
    wrong: list[Any] = [
        {},
        {"version": 99},
        {"version": 1, "entries": [{"nonsense": 1}]},
        {"version": 1, "tallies": {"x": 1}},
    ]
    for bad in wrong:
        with pytest.raises(CompressorError):
            Conversation(c, state=bad)


def test_refs_belong_to_their_session(c: Compressor) -> None:
    session = c.session("a", tenant="one")
    session.append(*conversation(1, sentences=200))
    (ref,) = find_refs(text(session.view()))
    assert session.expand(ref) == session.expand(f"[…cut ref {ref}]")
    for other in (c.session("b", tenant="one"), c.session("a", tenant="two")):
        with pytest.raises(UnknownRef):
            other.expand(ref)
    fork = session.fork("c")
    assert fork.expand(ref) == session.expand(ref) and fork.view() == session.view()
    with pytest.raises(CompressorError, match="there is a session"):
        session.fork("c")


def test_forks_go_their_own_way(c: Compressor) -> None:
    session = c.session("a", budget=4_000)
    session.append(*conversation(10))
    fork = session.fork("b")
    fork.append({"role": "assistant", "content": "In the fork."}, {"role": "user", "content": "More."})
    session.append({"role": "assistant", "content": "In the trunk."}, {"role": "user", "content": "More."})
    assert "In the fork." not in text(session.view()) and "In the trunk." not in text(fork.view())
    assert c.session("b", budget=4_000).view() == fork.view()


def test_export_and_import_into_another_store(c: Compressor) -> None:
    session = c.session("a", budget=4_000, policy=Policy(low=1_500))
    replay(session, conversation(40))
    data = json.loads(json.dumps(session.export()))
    other = Compressor(store="memory")
    twin = other.import_session(data, budget=4_000, policy=Policy(low=1_500))
    assert twin.view() == session.view() and twin.id == "a"
    for ref in find_refs(text(twin.view())):
        assert twin.expand(ref) == session.expand(ref)
    with pytest.raises(CompressorError, match="there is a session"):
        other.import_session(data)
    broken: list[dict[str, Any]] = [{}, {"state": {}}, {**data, "messages": []}]
    for bad in broken:
        with pytest.raises(CompressorError):
            other.import_session(bad, "x")


def test_forgotten_session_starts_anew(c: Compressor) -> None:
    session = c.session("a")
    session.append({"role": "user", "content": "Hello."})
    session.close(forget=True)
    fresh = c.session("a")
    with pytest.raises(InvalidContext, match="empty"):
        fresh.view()


def test_recall_finds_what_left_the_view(c: Compressor) -> None:
    messages = conversation(30)
    needle = "The vault code of the north gate is QX-4471-ZED."
    messages[5]["content"] = f"{prose(7)} {needle} {prose(8)}"
    session = c.session("a", budget=3_000, policy=Policy(low=1_200))
    replay(session, messages)
    assert needle not in text(session.view())
    found = session.recall("What is the vault code of the north gate?", budget=200)
    assert needle in found and counter_for("gpt-4o").count(found) <= 200
    assert find_refs(session.recall("vault code", budget=300))
    with pytest.raises(InvalidBudget):
        session.recall("x", budget=0)
    with pytest.raises(CompressorError):
        session.recall(" ")
    assert c.session("new").recall("anything") == ""


def test_expanding_old_lines_of_the_index_with_a_question_answers_it(c: Compressor) -> None:
    messages = conversation(60, sentences=10)
    needle = "The vault code of the north gate is QX-4471-ZED."
    messages[5]["content"] += f" {needle}"
    session = c.session("a", budget=3_000, policy=Policy(low=1_200))
    replay(session, messages)
    (index,) = [m["content"] for m in session.view() if "index of earlier rounds" in (m["content"] or "")]
    older = index.splitlines()[1]
    assert "rounds before these" in older
    assert needle in session.expand(older, query="What is the vault code of the north gate?", budget=300)
    assert "look" in session.expand(older)


def test_expanding_is_regret(c: Compressor) -> None:
    session = c.session("a")
    session.append(*conversation(1, sentences=200))
    (ref,) = find_refs(text(session.view()))
    whole = session.expand(ref)
    part = session.expand(ref, query="the walnut near the ferry", budget=120)
    assert len(part) < len(whole) / 4 and counter_for("gpt-4o").count(part) <= 120
    assert session.balance().expansions == 2
    assert "the walnut near the ferry" in c.session("a").export()["state"]["regrets"]


def test_regret_raises_what_is_like_it(c: Compressor) -> None:
    """The same result is cut differently once the agent has shown what it misses."""

    def shown(regret: str | None) -> str:
        session = c.session(f"r{regret}", policy=Policy(tools={"look": ToolRule(most=200)}))
        session.append(*conversation(1, sentences=60))
        if regret:
            session.expand(find_refs(text(session.view()))[0], query=regret, budget=100)
        rows = "\n".join(f"row {i}: the {WORDS[i % 12]} costs {i * 37 % 1000} crowns" for i in range(150))
        call = {"id": "n", "type": "function", "function": {"name": "look", "arguments": "{}"}}
        session.append({"role": "assistant", "content": None, "tool_calls": [call]})
        session.append({"role": "tool", "tool_call_id": "n", "content": rows})
        return str(session.view()[-1]["content"])

    assert shown("walnut").count("walnut") > shown(None).count("walnut")


def test_expand_tool(c: Compressor) -> None:
    session = c.session("a")
    session.append(*conversation(1, sentences=200))
    (ref,) = find_refs(text(session.view()))
    tool = session.expand_tool
    assert tool.answer({"ref": ref}) == tool.answer(json.dumps({"ref": ref})) == tool.answer(f'{{"ref": "{ref}"}}')
    assert counter_for("gpt-4o").count(tool.answer({"ref": ref, "max_tokens": 100})) <= 100
    assert "no ref" in tool.answer({"ref": "000000000000"})
    wrong: list[Any] = [
        None,
        "",
        "{",
        {},
        {"ref": ""},
        {"ref": ref, "max_tokens": 0},
        {"ref": ref, "max_tokens": "9"},
        7,
    ]
    for arguments in wrong:
        assert tool.answer(arguments).startswith("Not expanded")
    assert tool.schema("openai_chat")["function"]["name"] == tool.schema("anthropic")["name"] == tool.name
    assert tool.schema("openai_responses")["parameters"]["required"] == ["ref"]
    with pytest.raises(CompressorError):
        tool.schema("telepathy")


def test_expired_originals_are_named_so() -> None:
    now = [1_000.0]
    compressor = Compressor(store=MemoryStore(ttl=100, clock=lambda: now[0]))
    session = compressor.session("a")
    session.append(*conversation(1, sentences=200))
    (ref,) = find_refs(text(session.view()))
    for _ in range(4):  # the session is used, its originals are not
        now[0] += 60
        session.view()
    with pytest.raises(ExpiredRef):
        session.expand(ref)
    assert "Expired" in session.expand_tool.answer({"ref": ref})


def test_usage_is_reported(c: Compressor) -> None:
    session = c.session("a")
    session.append(*conversation(1))
    session.view()
    session.usage({"prompt_tokens": 100, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 60}})
    session.usage(
        {"input_tokens": 10, "cache_read_input_tokens": 90, "cache_creation_input_tokens": 0, "output_tokens": 1}
    )
    balance = session.balance()
    assert (balance.billed_tokens, balance.billed_cached, balance.cache_share) == (200, 150, 0.75)
    assert "calls" in balance.report()
    with pytest.raises(CompressorError):
        session.usage("a lot")


def test_cold_cache_is_the_time_to_compact(c: Compressor) -> None:
    now = [0.0]
    talk = Conversation(c, model="claude-sonnet-4-5", scope="t", clock=lambda: now[0])
    messages = conversation(26)
    now[0] = 1.0
    talk.follow(messages[:50])
    talk.view()
    assert talk.balance().compactions == 0
    now[0] += 3_600
    talk.follow(messages)
    talk.view()
    assert talk.balance().compactions == 1


def test_dialects(c: Compressor) -> None:
    results = [prose(i, 60) for i in range(12)]
    anthropic: list[Message] = [{"role": "user", "content": "Find the copper."}]
    responses: list[Message] = [{"role": "user", "content": "Find the copper."}]
    for i, result in enumerate(results):
        think = {"type": "thinking", "thinking": "hm " * 20, "signature": "sig"}
        use = {"type": "tool_use", "id": f"t{i}", "name": "look", "input": {"page": i}}
        anthropic.append({"role": "assistant", "content": [think, use]})
        anthropic.append(
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": f"t{i}", "content": result}]}
        )
        responses.append({"type": "function_call", "call_id": f"t{i}", "name": "look", "arguments": f'{{"page": {i}}}'})
        responses.append({"type": "function_call_output", "call_id": f"t{i}", "output": result})
    for name, messages in (("anthropic", anthropic), ("responses", responses)):
        session = c.session(name, budget=3_000, policy=Policy(low=1_200), system="Be brief.")
        session.append(*messages)
        view = session.view()
        assert session.balance().compactions == 1
        detect(view).parse(view)
        assert "index of earlier rounds" in text(view)
        signed = [
            p for m in view if isinstance(m.get("content"), list) for p in m["content"] if p.get("type") == "thinking"
        ]
        assert all(p == {"type": "thinking", "thinking": "hm " * 20, "signature": "sig"} for p in signed)


def thinking(text: str) -> Message:
    return {"type": "thinking", "thinking": text, "signature": "signed"}


def claude_round(i: int, sentences: int = 40) -> list[Message]:
    use = {"type": "tool_use", "id": f"t{i}", "name": "look", "input": {"page": i}}
    result = {"type": "tool_result", "tool_use_id": f"t{i}", "content": prose(i, sentences)}
    return [
        {"role": "assistant", "content": [thinking(f"Secret plan {i}. " * 5), use]},
        {"role": "user", "content": [result]},
    ]


def test_signed_reasoning_of_the_current_turn_stands_against_compaction(c: Compressor) -> None:
    """Inside one turn nothing before a signed block is rewritten, however much that would save; after it, all is."""
    talk = Conversation(c, model="claude-sonnet-4-5", scope="t")
    talk.append({"role": "user", "content": "Find the copper."})
    for i in range(60):
        talk.append(*claude_round(i))
        view = talk.view()
    assert talk.balance().compactions == 0 and "Secret plan 0." in text(view)
    talk.append({"role": "assistant", "content": "Page 7."}, {"role": "user", "content": "And the maple?"})
    view = talk.view()
    assert talk.balance().compactions == 1 and "Secret plan" not in text(view)
    assert "Secret plan 59." in talk.recall("Secret plan 59", 400)  # not lost
    again = Conversation(c, model="claude-sonnet-4-5", scope="t", state=talk.state)
    again.restore(talk.head, talk.live)
    assert again.view() == view
    talk.append(*claude_round(60))
    assert talk.view()[: len(view)] == view and "Secret plan 60." in text(talk.view())


def test_hard_budget_goes_before_signed_reasoning_and_says_so(c: Compressor) -> None:
    talk = Conversation(c, budget=4_000, scope="t")
    talk.append({"role": "user", "content": "Find the copper."})
    for i in range(30):
        talk.append(*claude_round(i))
        assert tokens(talk.view()) <= 4_000
    assert any("signed reasoning" in warning for warning in talk.warnings)


def test_note_of_a_repeat_does_not_outlive_what_it_names(c: Compressor) -> None:
    messages = conversation(14)
    messages[-1]["content"] = messages[3]["content"]
    session = c.session("a", budget=100_000, policy=Policy(low=1_500, compact=False))
    session.append(*messages)
    assert "the result of call c0" in session.view()[-1]["content"]
    assert session.compact()
    assert session.view()[-1]["content"] == messages[3]["content"]


def test_summary_stands_in_the_index_and_is_kept(c: Compressor) -> None:
    asked: list[str] = []

    def writer(prompt: str) -> str:
        asked.append(prompt)
        return "Goal:\n- Find out where the copper is stored.\nFacts:\n- The vault 99887766 is in Atlantis.\n"

    policy = Policy(low=2_000, summarizer=summarizer(writer))
    session = c.session("a", budget=5_000, policy=policy)
    replay(session, conversation(40))
    (index,) = [m for m in session.view() if "index of earlier rounds" in (m["content"] or "")]
    assert asked and "Summary of earlier messages" in index["content"] and index["role"] == "tool"
    assert "99887766" not in index["content"]  # invented
    assert tokens(session.view()) <= 5_000
    assert c.session("a", budget=5_000, policy=policy).view() == session.view()


def test_failing_summarizer_never_costs_the_view(c: Compressor) -> None:
    def broken(prompt: str) -> str:
        raise RuntimeError("no")

    session = c.session("a", budget=5_000, policy=Policy(low=2_000, summarizer=summarizer(broken)))
    for view in replay(session, conversation(30)):
        assert tokens(view) <= 5_000
    assert "Error" not in text(session.view()) and session.warnings


def test_pinned_messages_of_compress(c: Compressor) -> None:
    messages = conversation(6)
    result = c.compress(messages, budget=2_000, pinned=[5, -3])
    assert result.messages[5] is messages[5] and result.messages[-3] is messages[-3]
    assert result.messages[7] != messages[7]
    for wrong in ([99], [-99], ["5"], [True]):
        with pytest.raises(InvalidContext, match="pinned"):
            c.compress(messages, budget=2_000, pinned=wrong)  # type: ignore[arg-type]


KILLED = """
import sys
from compressor import Compressor
sys.path.insert(0, {tests!r})
from test_sessions import conversation
session = Compressor(store={path!r}).session("a", budget=4_000)
for message in conversation(40):
    if message["role"] == "assistant":
        session.view()
    session.append(message)
    print(message.get("tool_call_id") or message["role"], flush=True)
"""


@pytest.mark.parametrize("after", [1, 9, 30])
def test_killed_at_any_step_nothing_acknowledged_is_lost(tmp_path: Path, after: int) -> None:
    """SIGKILL after so many acknowledged messages; a session that goes on from there gives the bytes of one that was
    never interrupted."""
    path, messages = str(tmp_path / "s.db"), conversation(40)
    code = KILLED.format(tests=str(Path(__file__).parent), path=path)
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for _ in range(after):
            assert child.stdout.readline()
        child.kill()
    resumed = Compressor(store=path).session("a", budget=4_000)
    count = resumed.export(originals=False)["state"]["count"] + 1  # and the system message
    assert count >= after
    twin = Compressor(store="memory").session("a", budget=4_000)
    for message in messages[:count]:
        if message["role"] == "assistant":
            twin.view()
        twin.append(message)
    for message in messages[count:]:
        if message["role"] == "assistant":
            assert resumed.view() == twin.view()
        resumed.append(message)
        twin.append(message)
    assert resumed.view() == twin.view()


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


@given(histories(), st.sampled_from([2_500, 6_000, 50_000]), st.integers(0, 2**16))
@settings(max_examples=40, deadline=None)
def test_any_history(steps: list[list[Message]], budget: int, seed: int) -> None:
    """Budget, pairs, constraints, prefix: whatever comes in, by append or follow, with restarts in between."""
    compressor, rng = Compressor(store="memory"), random.Random(seed)
    session = compressor.session("a", budget=budget, policy=Policy(low=1_500))
    seen: list[Message] = []
    last, compactions = "", 0
    for step in steps:
        seen += step
        if rng.random() < 0.3:
            session.follow(seen)
        else:
            session.append(*step)
        if step[-1]["role"] == "assistant":
            continue
        try:
            view = session.view()
        except BudgetTooSmall as error:
            assert error.needed > budget
            return
        detect(view).parse(view)
        assert tokens(view) <= budget
        sent = text(view)
        for message in seen:
            if message["role"] == "user" and "You must" in message["content"]:
                assert message["content"][message["content"].index("You must") :] in sent
        now = session.balance().compactions
        assert now > compactions or sent.startswith(last)
        last, compactions = sent[:-1], now
        if rng.random() < 0.2:
            session = compressor.session("a", budget=budget, policy=Policy(low=1_500))
            assert session.view() == view


def test_going_back_behind_what_has_gone_shows_nothing_of_it(c: Compressor) -> None:
    """Two histories that begin alike: the index of the one is no business of the other."""
    session = c.session("a", budget=3_000, policy=Policy(low=1_200))
    messages = conversation(30)
    session.follow(messages)
    assert "index of earlier rounds" in text(session.view())
    other = [*messages[:2], *conversation(3, seed=9)[2:]]
    session.follow(other)
    view = session.view()
    assert "index of earlier rounds" not in text(view) and view[:2] == other[:2]
    assert session.recall("page 0") == ""
