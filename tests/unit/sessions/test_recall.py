"""The way back to what was cut: expand, recall, regret, whose refs are whose."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from compressor import (
    BudgetError,
    Compressor,
    CompressorError,
    ExpiredRefError,
    UnknownRefError,
)
from compressor.context.refs import find_refs, format_placeholder
from compressor.sessions import Policy, ToolRule
from compressor.sessions.expand_tool import DESCRIPTION
from compressor.storage import MemoryStore
from compressor.tokens import get_counter
from support.session_tools import SESSION_KINDS, WORDS, compressor_of_sessions, conversation, prose, replay, text


@pytest.fixture(params=SESSION_KINDS)
def c(request: pytest.FixtureRequest) -> Iterator[Compressor]:
    compressor = compressor_of_sessions(request.param)
    yield compressor
    compressor.close()


def test_refs_belong_to_their_session(c: Compressor) -> None:
    session = c.session("a", tenant="one")
    session.append(*conversation(1, sentences=200))
    (ref,) = find_refs(text(session.view()))
    assert session.expand(ref) == session.expand(f"[…cut ref {ref}]")
    for other in (c.session("b", tenant="one"), c.session("a", tenant="two")):
        with pytest.raises(UnknownRefError):
            other.expand(ref)
    fork = session.fork("c")
    assert fork.expand(ref) == session.expand(ref) and fork.view() == session.view()
    with pytest.raises(CompressorError, match="there is a session"):
        session.fork("c")


@pytest.mark.parametrize("tool", ["expand_context", "recall_context"])
def test_recall_does_not_quote_what_it_or_expand_has_answered(c: Compressor, tool: str) -> None:
    session = c.session("a")
    session.append(*conversation(1, sentences=200))
    (ref,) = find_refs(text(session.view()))
    query = {"query": WORDS[0], "ref": ref}
    answers = [session.context_tools().answer(tool, query)]
    for number in range(3):
        call = {"id": f"again{number}", "type": "function"}
        call["function"] = {"name": tool, "arguments": json.dumps(query)}  # type: ignore[assignment]
        session.append({"role": "assistant", "content": None, "tool_calls": [call]})
        session.append({"role": "tool", "tool_call_id": call["id"], "content": answers[-1]})
        answers.append(session.recall(WORDS[0]))
        assert tool not in answers[-1] and "in view, message" not in answers[-1]
    assert answers[-1] == answers[-2]


@pytest.mark.moderate
def test_recall_finds_what_left_the_view(c: Compressor) -> None:
    messages = conversation(30)
    needle = "The vault code of the north gate is QX-4471-ZED."
    messages[5]["content"] = f"{prose(7)} {needle} {prose(8)}"
    session = c.session("a", budget=3_000, policy=Policy(target=("tokens", 1_200)))
    replay(session, messages)
    assert needle not in text(session.view())
    found = session.recall("What is the vault code of the north gate?", budget=200)
    assert needle in found and get_counter("gpt-4o").count(found) <= 200
    assert find_refs(session.recall("vault code", budget=300))
    with pytest.raises(BudgetError):
        session.recall("x", budget=0)
    with pytest.raises(CompressorError):
        session.recall(" ")
    assert c.session("new").recall("anything") == ""


def chat(c: Compressor, turns: list[str], asked: int = 0, **options: Any) -> Any:
    """A chat that was compacted. Users' short words stay in view, so `asked` and what follows are not theirs."""
    session = c.session("chat", budget=options.pop("budget", 1_500), policy=Policy(target=("tokens", 600)))
    for i, said in enumerate(turns):
        is_users = i % 2 == 0 and not (asked and asked <= i < asked + 2) and not (asked and i == 3 * asked)
        session.append({"role": "user" if is_users else "assistant", "content": said})
    session.view()
    session.compact()
    return session


def test_recall_gives_whole_messages_in_their_order_with_what_stands_beside_them(c: Compressor) -> None:
    turns = [f"Chat {i}: {prose(i, 2)}" for i in range(120)]
    turns[20] = "Anna: Which museum did you visit in Lisbon?"
    turns[21] = "Ben: The one with the tiles; it was raining."
    turns[60] = "Anna: We fly to Lisbon again in October."
    session = chat(c, turns, asked=20)
    found = session.recall("Which museum was it in Lisbon?", budget=200)
    assert turns[20] in found and turns[21] in found and turns[60] in found
    assert found.index(turns[20]) < found.index(turns[21]) < found.index(turns[60])
    assert "[assistant, message 19-21]" in found and get_counter("gpt-4o").count(found) <= 200
    assert found == session.recall("Which museum was it in Lisbon?", budget=200)
    (page,) = find_refs(found)[-1:]
    assert turns[21] in session.expand(page, query="museum with the tiles")


def test_recall_never_exceeds_its_budget_and_shows_no_dead_ref(c: Compressor) -> None:
    turns = [f"Chat {i}: {prose(i, 1 + i % 40)}\n\n{prose(i + 500, 20)}" for i in range(40)]
    session = chat(c, turns, budget=4_000)
    for budget in (1, 5, 12, 20, 40, 80, 160, 320, 1_000, 100_000):
        found = session.recall("walnut near the ferry", budget)
        assert get_counter("gpt-4o").count(found) <= budget
        assert all(session.expand(ref) for ref in find_refs(found))


@pytest.mark.parametrize(
    ("said", "question"),
    [
        ("Die Rechnungen für März wurden am 3. April gelöscht.", "Wann wurde die Rechnung für März gelöscht?"),
        ("会议改到了星期四下午三点。", "会议改到什么时候?"),
        ("การประชุมเลื่อนไปเป็นวันพฤหัสบดี", "เลื่อนการประชุมไปวันไหน"),
        ("The job was retried twice with 512 MB.", "How often did we retry the job?"),
    ],
)
def test_recall_knows_words_in_their_forms_and_languages(c: Compressor, said: str, question: str) -> None:
    turns = [f"Chat {i}: {prose(i, 3)}" for i in range(60)]
    turns[11] = said
    assert said in chat(c, turns, asked=11).recall(question, budget=120)


def test_recall_without_a_common_word_still_gives_something(c: Compressor) -> None:
    session = chat(c, [f"Chat {i}: {prose(i, 3)}" for i in range(60)])
    found = session.recall("zzyzx", budget=100)
    assert get_counter("gpt-4o").count(found) <= 100


@pytest.mark.moderate
def test_expanding_old_lines_of_the_index_with_a_question_answers_it(c: Compressor) -> None:
    messages = conversation(60, sentences=10)
    needle = "The vault code of the north gate is QX-4471-ZED."
    messages[5]["content"] += f" {needle}"
    session = c.session("a", budget=3_000, policy=Policy(target=("tokens", 1_200)))
    replay(session, messages)
    (index,) = [m["content"] for m in session.view() if "index of earlier rounds" in (m["content"] or "")]
    older = index.splitlines()[1]
    assert " more rounds [" in older
    assert needle in session.expand(older, query="What is the vault code of the north gate?", budget=300)
    assert "look" in session.expand(older)


def test_adopting_what_another_agent_sent(c: Compressor) -> None:
    message = c.compress_text(prose(3, 200), 200).text
    (ref,) = find_refs(message)
    session = c.session("writer")
    with pytest.raises(UnknownRefError):
        session.expand(ref)
    assert session.share_refs(message) == 1 and session.expand(ref) == prose(3, 200)
    assert session.share_refs("[…cut ref 000000000000]") == 0
    with pytest.raises(UnknownRefError):
        c.session("reader").expand(ref)


def test_expanding_is_regret(c: Compressor) -> None:
    session = c.session("a")
    session.append(*conversation(1, sentences=200))
    (ref,) = find_refs(text(session.view()))
    whole = session.expand(ref)
    part = session.expand(ref, query="the walnut near the ferry", budget=120)
    assert len(part) < len(whole) / 4 and get_counter("gpt-4o").count(part) <= 120
    assert session.cost_report().expansions == 2
    assert session.expansions() == [{"ref": ref, "query": None}, {"ref": ref, "query": "the walnut near the ferry"}]
    assert "the walnut near the ferry" in c.session("a").export()["state"]["expansions"]


def test_a_call_that_hands_over_what_was_cut_is_none_that_would_have_been_without_us(c: Compressor) -> None:
    session = c.session("a")
    session.append(*conversation(2, sentences=200))
    ref, before = find_refs(text(session.view()))[0], session.cost_report()
    call = {"id": "e", "type": "function", "function": {"name": "expand_context", "arguments": f'{{"ref": "{ref}"}}'}}
    session.append({"role": "assistant", "content": None, "tool_calls": [call]})
    session.append({"role": "tool", "tool_call_id": "e", "content": session.expand_tool.answer({"ref": ref})})
    session.view()
    after = session.cost_report()
    assert (after.calls, after.baseline_tokens, after.baseline_cost) == (
        before.calls + 1,
        before.baseline_tokens,
        before.baseline_cost,
    )
    assert after.actual_tokens > 2 * before.actual_tokens and after.saved_cost < before.saved_cost
    session.append({"role": "assistant", "content": "It is there."}, {"role": "user", "content": "And the walnut?"})
    session.view()
    assert session.cost_report().baseline_tokens > after.baseline_tokens + before.baseline_last


def test_regret_raises_what_is_like_it(c: Compressor) -> None:
    """The same result is cut differently once the agent has shown what it misses."""

    def shown(regret: str | None) -> str:
        session = c.session(f"r{regret}", policy=Policy(tools={"look": ToolRule(max_tokens=200)}))
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
    assert get_counter("gpt-4o").count(tool.answer({"ref": ref, "max_tokens": 100})) <= 100
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
    with pytest.raises(ExpiredRefError):
        session.expand(ref)
    assert "Expired" in session.expand_tool.answer({"ref": ref})


def test_the_tools_description_shows_a_real_placeholder() -> None:
    assert format_placeholder("123456789012") in DESCRIPTION


def test_every_ref_in_an_answer_of_recall_expands_that_of_a_text_in_view_too(c: Compressor) -> None:
    session = c.session("a", budget=1_500)
    session.append(*conversation(60, sentences=2))
    session.view()
    waiting, seen = find_refs(session.recall("cobalt lantern", 1_500)), set[str]()
    while waiting:
        ref = waiting.pop()
        if ref not in seen:
            seen.add(ref)
            waiting += find_refs(session.expand(ref))
    assert seen
