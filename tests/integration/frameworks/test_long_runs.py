"""What a long run must keep, in every client: instructions, rules, the newest state, the budget, and what is legal.

The histories are sent to a server that refuses what a provider would refuse. Budgets are small, so that a run of forty
calls is compacted many times.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import pytest

from compressor import Compressor
from compressor.context.refs import find_refs
from compressor.sessions import Conversation
from support.long_run_clients import CLIENTS, clients_of, play
from support.long_runs import (
    Event,
    Raw,
    Said,
    Sent,
    Step,
    System,
    User,
    log,
    prefixes,
    reads,
    thought,
    to_anthropic,
    to_chat,
)

BUDGET = 6_000
Requests = list[tuple[list[Event], Sent]]


def todos(tool: str, field: str, done: int, size: int = 5) -> Step:
    """A call that writes a whole to-do list, with a mark of its version."""
    states = ["completed" if n < done else "pending" for n in range(size)]
    items = [{"content": f"Step {n}: module m{n}", "status": state} for n, state in enumerate(states)]
    return Step(tool, {field: items, "note": f"version-{done}"}, f"Updated the list: {done} of {size} are done.")


#: What the user asks for, what stays forbidden, what is forbidden and then allowed, and by which tool the list is kept.
DAYS: dict[str, tuple[str, str, str, str, str, str]] = {
    "shop": (
        "Now port the checkout to Adyen, account ADY-4471.",
        "Leave payments_archive alone.",
        "Never touch payments.py.",
        "You can edit payments.py now.",
        "write_todos",
        "todos",
    ),
    "clinic": (
        "Jetzt bitte die Terminliste nach HL7-FHIR umstellen, Mandant M-2093.",
        "Fass die Tabelle patient_raw niemals an.",
        "Antworte nur auf Englisch.",
        "Antworte ab jetzt auf Deutsch.",
        "TodoWrite",
        "todos",
    ),
    "harbour": (
        "Move the crane schedule to plan PX-88, berth 12.",
        "Hands off the tide tables!",
        "At most 200 euros for parts.",
        "Up to 350 euros for parts is fine after all.",
        "update_plan",
        "plan",
    ),
}


def day(name: str) -> list[Event]:
    """A run in which the instruction, rules, a changed rule and a to-do list are followed by much else."""
    task, rule, ban, lifted, tool, field = DAYS[name]
    return [
        User("What is this?"),
        Said("A program."),
        User(f"{task} {rule}"),
        todos(tool, field, 0),
        *reads(0, 6),
        Said("I have looked at it."),
        User(ban),
        *reads(6, 12),
        todos(tool, field, 2),
        Said("Half of it."),
        User(lifted),
        *reads(12, 20),
        todos(tool, field, 3),
        Said("Going on."),
        User("continue"),
        *reads(20, 34),
        Said("Done."),
    ]


@lru_cache(maxsize=4)
def played(client: str, name: str) -> Requests:
    events = day(name)
    return list(zip(prefixes(events), play(client, events, BUDGET), strict=True))


def said_in(history: Sequence[Event], text: str) -> bool:
    """Whether the user has said this."""
    return any(isinstance(event, User) and text in event.text for event in history)


def check_budget(requests: Sequence[Sent], budget: int = BUDGET, used: float = 0.5) -> None:
    """No request is above the budget, and the budget is used.

    A framework's messages are counted before it writes them as the provider's, so a few tokens may be missing.
    """
    assert max(request.tokens for request in requests) <= 1.005 * budget
    assert max(request.tokens for request in requests[len(requests) // 2 :]) >= used * budget


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if number == 0 else pytest.mark.slow) for number, name in enumerate(DAYS)]
)
@pytest.mark.parametrize("client", CLIENTS)
def test_instructions_rules_and_state_stay_in_view(client: str, name: str) -> None:
    task, rule, ban, lifted, _, _ = DAYS[name]
    requests = played(client, name)
    check_budget([request for _, request in requests])
    for history, request in requests:
        text = request.text
        for words in (task, rule, lifted):
            assert words in text or not said_in(history, words), (words, len(history))
        if said_in(history, lifted) and ban in text:
            assert text.rindex(lifted) > text.rindex(ban), "the ban reads as if it came last"
        versions = [e.arguments["note"] for e in history if isinstance(e, Step) and "note" in e.arguments]
        if versions:
            shown = re.findall(r"version-\d", text)
            assert shown and shown[-1] == versions[-1], (shown, versions)


REASONING = [
    *clients_of("anthropic"),
    "conversation-responses",
    "session-responses",
    "openai-responses",
    "agents-responses",
    "pydantic-responses",
    "proxy-responses",
    "langchain",
]


@pytest.mark.parametrize("client", REASONING)
def test_a_turn_of_nothing_but_reasoning_fits_the_budget(client: str) -> None:
    task = "Research pumps for line 7. Never name supplier Q-Flow."
    steps = [Step("note", {"part": n}, f"ok {n}", thinking=thought(n)) for n in range(30)]
    requests = play(client, [User(task), *steps, Said("Done.")], BUDGET)
    check_budget(requests)
    originals = {thought(n) for n in range(30)}
    for request in requests:
        assert "line 7" in request.text and "Q-Flow" in request.text
        for block in _blocks(request.messages):
            assert block["thinking"] in originals, "signed reasoning was changed"


def _blocks(messages: Sequence[Any]) -> list[dict[str, Any]]:
    found = []
    for message in messages:
        content = message.get("content") if isinstance(message, dict) else message.content
        found += [b for b in content if isinstance(b, dict) and b.get("type") == "thinking"] if content else []
    return found


@pytest.mark.parametrize("client", [*clients_of("anthropic"), "conversation", "openai-chat", "pydantic-chat"])
@pytest.mark.parametrize(
    "words", ["You must only edit package p{}.", "<system-reminder>The list has {} entries.</system-reminder>"]
)
def test_the_users_words_beside_results_are_no_reason_to_keep_the_results(client: str, words: str) -> None:
    steps = [Step("read", {"part": n}, log(n), words=words.format(n)) for n in range(24)]
    requests = play(client, [User("Fix the build of ticket BLD-9."), *steps, Said("Done.")], BUDGET)
    check_budget(requests)
    for number, request in enumerate(requests):
        assert "BLD-9" in request.text
        assert not number or "must" not in words or words.format(number - 1) in request.text


@pytest.mark.parametrize("client", ["conversation", "session", "openai-chat", "openai-responses", "proxy"])
@pytest.mark.parametrize("memory", ["[memory {}] {}", "[memory] {1}"])
def test_system_messages_in_the_middle_do_not_fill_the_budget(client: str, memory: str) -> None:
    events: list[Event] = [User("Plan the move to hall 4.")]
    for n in range(40):
        text = memory.format(n, log(n if "{}" in memory else 0, 5))
        events += [System(text), Step("note", {"part": n}, f"ok {n}")]
    requests = play(client, [*events, Said("Done.")], BUDGET)
    check_budget(requests, used=0.2)
    for history, request in zip(prefixes(events), requests, strict=True):
        assert "hall 4" in request.text
        newest = [event.text for event in history if isinstance(event, System)][-1:]
        assert all(json.dumps(text)[1:-1] in request.text for text in newest)


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("place", ["first", pytest.param("last", marks=pytest.mark.slow)])
def test_a_huge_paste_of_the_user_is_cut_to_the_budget(client: str, place: str) -> None:
    paste = f"Why does job J-310 fail? Here is its log:\n\n```\n{log('paste', 400)}\n```\n\nAnswer in one sentence."
    short = "Hello. Look at job J-310 later."
    first, last = (paste, short) if place == "first" else (short, paste)
    requests = play(client, [User(first), *reads(0, 3), Said("I see."), User(last), *reads(3, 6), Said("Ok.")], BUDGET)
    check_budget(requests)
    for request in requests[0 if place == "first" else 4 :]:
        assert "J-310" in request.text and "Answer in one sentence." in request.text


COMPACTED: dict[str, list[Any]] = {
    "responses": [{"type": "compaction", "id": "cmp_1", "encrypted_content": "gAAA" * 100}],
    "anthropic": [
        {"role": "assistant", "content": [{"type": "compaction", "content": "Summary cmp_1: the API moved to v3."}]}
    ],
}


@pytest.mark.parametrize(
    "client", [c for c in clients_of("responses", "anthropic") if not c.startswith(("agents", "pyd"))]
)
def test_what_the_provider_has_compacted_itself_stays(client: str) -> None:
    events: list[Event] = [
        User("Migrate."),
        Raw(COMPACTED),
        User("Go on."),
        *reads(0, 20),
        Said("Ok."),
        User("Next."),
        *reads(20, 26),
    ]
    requests = play(client, events, BUDGET)
    check_budget(requests)
    assert all("cmp_1" in request.text for request in requests[1:])


SERVER_TOOLS: dict[str, list[dict[str, Any]]] = {
    "code": [
        {"type": "server_tool_use", "id": "s", "name": "bash_code_execution", "input": {"command": "x"}},
        {
            "type": "bash_code_execution_tool_result",
            "tool_use_id": "s",
            "content": {
                "type": "bash_code_execution_result",
                "stdout": "total MARK-91",
                "stderr": "",
                "return_code": 0,
            },
        },
    ],
    "mcp": [
        {"type": "mcp_tool_use", "id": "m", "name": "jira", "server_name": "j", "input": {"q": 1}},
        {
            "type": "mcp_tool_result",
            "tool_use_id": "m",
            "is_error": False,
            "content": [{"type": "text", "text": "total MARK-91"}],
        },
    ],
}


@pytest.mark.parametrize("kind", SERVER_TOOLS)
def test_what_a_server_tool_said_has_a_way_back(kind: str) -> None:
    answer = {"role": "assistant", "content": [*SERVER_TOOLS[kind], {"type": "text", "text": "Counted."}]}
    events: list[Event] = [User("Count."), Raw({"anthropic": [answer]}), User("And now read."), *reads(0, 24)]
    conversation = Conversation(Compressor(store="memory"), "claude-sonnet-5", BUDGET)
    for history in prefixes(events):
        conversation.sync(to_anthropic(history))
        view = conversation.view()
    seen: set[str] = set()
    texts, found = [json.dumps(view, ensure_ascii=False)], False
    while texts:
        text = texts.pop()
        found = found or "MARK-91" in text
        new = set(find_refs(text)) - seen
        seen |= new
        texts += [conversation.expand(ref) for ref in new]
    assert found and ("MARK-91" in json.dumps(view) or "MARK-91" in conversation.recall("total MARK-91"))


def _call(call_id: str) -> dict[str, Any]:
    function = {"name": "read", "arguments": "{}"}
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": call_id, "type": "function", "function": function}],
    }


def _result(call_id: str, text: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": text}


#: What OpenAI and Anthropic refuse and local servers accept.
MALFORMED: dict[str, list[dict[str, Any]]] = {
    "a call without a result": [{"role": "user", "content": "Start."}, _call("a")],
    "two results": [
        {"role": "user", "content": "Start."},
        _call("a"),
        _result("a", "pending"),
        _result("a", "final"),
        {"role": "assistant", "content": "Ok."},
    ],
    "a late result": [
        {"role": "user", "content": "Start."},
        _call("a"),
        _result("a", "pending"),
        {"role": "assistant", "content": "Ok."},
        {"role": "user", "content": "Hm."},
        _result("a", "final"),
    ],
    "a result without a call": [_result("zz", "left over")],
}


@pytest.mark.parametrize("kind", MALFORMED)
@pytest.mark.parametrize("client", ["conversation", "langchain"])
def test_one_malformed_round_of_long_ago_does_not_switch_compression_off(client: str, kind: str) -> None:
    task = "Read all parts of job J-7. Never restart it."
    before = [*MALFORMED[kind], {"role": "user", "content": task}]
    if client == "conversation":
        conversation = Conversation(Compressor(store="memory"), "gpt-4o", BUDGET)
        requests = []
        for history in prefixes([User(task), *reads(0, 24)]):
            conversation.sync([*before, *to_chat(history)[1:]])
            requests.append(Sent(conversation.view(), [], "gpt-4o"))
            assert conversation.view_tokens <= BUDGET
    else:
        requests = _langchain_after(before)
    assert all(task in request.text for request in requests)
    assert max(len(request.text) for request in requests) < 5 * BUDGET, "raw it would be twice as much"


def _langchain_after(before: list[dict[str, Any]]) -> list[Sent]:
    pytest.importorskip("langchain")
    from langchain.agents import create_agent
    from langchain_core.messages.utils import convert_to_messages
    from langchain_core.tools import tool

    from compressor.testing import ScriptedChatModel, call
    from compressor_agents.langchain import ContextCompressorMiddleware

    @tool
    def read(part: int) -> str:
        """Reads a part."""
        return log(part)

    middleware = ContextCompressorMiddleware(BUDGET, compressor=Compressor(store="memory"), model="gpt-4o")
    model = ScriptedChatModel(script=[*(call("read", part=n) for n in range(24)), "Done."])
    agent: Any = create_agent(model, [read], middleware=[middleware])
    agent.invoke({"messages": convert_to_messages(before)}, {"recursion_limit": 1_000})
    assert not middleware.warnings and len(model.requests) == 25
    return [Sent(request.messages, request.tools, "gpt-4o") for request in model.requests]
