"""The tools with which an agent reads and searches removed text, and asks for a compaction."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from compressor import Compressor, CompressorError
from compressor.context.refs import find_refs
from compressor.sessions import ContextTools, Conversation, Policy, ToolRule
from compressor.sessions.compact_tool import COMPACT_ANSWER
from compressor.sessions.context_tools import CONTEXT_TOOL_NAMES
from compressor.sessions.recall_tool import NOTHING_FOUND
from compressor.tokens import get_counter
from support.session_tools import SESSION_KINDS, compressor_of_sessions, conversation, prose, text

NEEDLE = "The vault code of the north gate is QX-4471-ZED."
ON_REQUEST = Policy(compact=False)  # so that no compaction is made for its cost alone
QUESTION = {"query": "What is the vault code of the north gate?"}


@pytest.fixture(params=SESSION_KINDS)
def c(request: pytest.FixtureRequest) -> Iterator[Compressor]:
    compressor = compressor_of_sessions(request.param)
    yield compressor
    compressor.close()


def long_session(c: Compressor, id: str = "a") -> Any:
    messages = conversation(30)
    messages[5]["content"] = f"{prose(7)} {NEEDLE} {prose(8)}"
    session = c.session(id, budget=3_000, policy=Policy(target=("tokens", 1_200)))
    session.append(*messages)
    session.view()
    assert NEEDLE not in text(session.view())
    return session


def call(session: Any, tools: ContextTools, name: str, arguments: dict[str, Any], id: str = "own") -> str:
    """Appends the model's call and its answer, as an agent does."""
    function = {"name": name, "arguments": json.dumps(arguments)}
    session.append(
        {"role": "assistant", "content": None, "tool_calls": [{"id": id, "type": "function", "function": function}]}
    )
    answer = tools.answer(name, function["arguments"])
    session.append({"role": "tool", "tool_call_id": id, "content": answer})
    return answer


def test_expand_and_recall_cost_less_than_160_tokens_together(c: Compressor) -> None:
    tools = c.session("a").context_tools()
    assert tools.names == ("expand_context", "recall_context")
    assert get_counter("gpt-4o").count_tools(tools.schemas()) < 160
    assert set(c.session("a").context_tools(compact=True).names) == CONTEXT_TOOL_NAMES
    assert [t["name"] for t in tools.schemas("anthropic")] == [t["name"] for t in tools.schemas("openai_responses")]
    with pytest.raises(CompressorError):
        tools.schemas("telepathy")


def test_recall_finds_what_left_the_view_within_its_tokens(c: Compressor) -> None:
    session = long_session(c)
    tools = session.context_tools()
    found = tools.answer("recall_context", QUESTION)
    assert NEEDLE in found and get_counter("gpt-4o").count(found) <= 1_000
    assert tools.answer("recall_context", json.dumps({**QUESTION, "max_tokens": 100})) != found
    (ref, *_) = find_refs(found)
    assert tools.answer("expand_context", {"ref": ref}) == session.expand(ref)
    assert c.session("new").context_tools().answer("recall_context", QUESTION) == NOTHING_FOUND


def test_what_the_tools_return_is_not_cut_again_and_is_not_a_call_that_compression_saved(c: Compressor) -> None:
    for name, arguments in (
        ("recall_context", {"query": "walnut ferry gravel orbit", "max_tokens": 2_500}),
        ("expand_context", {}),
    ):
        session = long_session(c, name)
        tools = session.context_tools()
        if not arguments:
            arguments = {"ref": find_refs(tools.answer("recall_context", QUESTION))[0]}
        before = session.cost_report()
        answer = call(session, tools, name, arguments)
        assert get_counter("gpt-4o").count(answer) > (1_200 if name == "recall_context" else 500)
        assert session.view()[-1]["content"] == answer
        after = session.cost_report()
        assert (after.calls, after.baseline_tokens) == (before.calls + 1, before.baseline_tokens)


@pytest.mark.parametrize(
    ("name", "arguments", "says"),
    [
        ("recall_context", None, 'pass the argument query, for example {"query": '),
        ("recall_context", "{", "not valid JSON"),
        ("recall_context", {"query": " "}, "pass the argument query"),
        ("recall_context", {"query": "gate", "max_tokens": True}, "max_tokens must be a whole number"),
        ("recall_context", {"query": "gate", "max_tokens": 0}, "max_tokens must be a whole number"),
        ("expand_context", {"reference": 1}, 'pass the argument ref, for example {"ref": "123456789012"}'),
        ("expand_context", {"ref": "000000000000"}, "no ref"),
        ("search_context", {}, "The tools are expand_context, recall_context"),
        ("compact_now", {}, "there is no tool 'compact_now' here"),
    ],
)
def test_a_wrong_call_is_answered_with_what_is_wrong(name: str, arguments: Any, says: str) -> None:
    assert says in Compressor(store="memory").session("a").context_tools().answer(name, arguments)


def test_compact_now_compacts_at_the_next_view(c: Compressor) -> None:
    session = c.session("a", budget=100_000, policy=ON_REQUEST)
    session.append(*conversation(30))
    session.view()
    before = session.cost_report()
    assert before.compactions == 0 and before.view_tokens > 10_000
    answer = call(session, session.context_tools(compact=True), "compact_now", {})
    assert answer == COMPACT_ANSWER and session.cost_report().compactions == 0
    view = session.view()
    assert session.cost_report().compactions == 1 and session.cost_report().view_tokens < 0.7 * before.view_tokens
    assert view[-1]["content"] == COMPACT_ANSWER
    session.append({"role": "assistant", "content": "Next."}, {"role": "user", "content": "Go on."})
    assert session.view()[: len(view)] == view  # the request is not made twice


def test_a_request_for_a_compaction_survives_a_restart() -> None:
    c = Compressor(store="memory")
    session = c.session("a", budget=100_000, policy=ON_REQUEST)
    session.append(*conversation(30))
    session.view()
    call(session, session.context_tools(compact=True), "compact_now", {})
    again = c.session("a", budget=100_000, policy=ON_REQUEST)
    again.view()
    assert again.cost_report().compactions == 1 and c.session("a").export()["state"]["compact_requested"] is False

    messages = conversation(30)
    first = Conversation(c, budget=100_000, policy=ON_REQUEST)
    first.append(*messages)
    first.request_compaction()
    assert first.has_changes
    second = Conversation(c, budget=100_000, policy=ON_REQUEST, state=json.loads(json.dumps(first.state)))
    second.sync(messages)
    second.view()
    assert second.cost_report().compactions == 1 and not second.state["compact_requested"]


@pytest.mark.parametrize("model", ["claude-sonnet-4-5", "claude-fable-5-1"])
def test_a_request_is_met_inside_a_turn_with_signed_reasoning(model: str) -> None:
    thinking = {"type": "thinking", "thinking": "Look at the pump first.", "signature": "s" * 200}
    messages: list[Any] = [{"role": "user", "content": "Which pump leaks?"}]
    for i in range(20):
        use = {"type": "tool_use", "id": f"c{i}", "name": "look", "input": {"page": i}}
        messages.append({"role": "assistant", "content": [thinking, use]})
        result = {"type": "tool_result", "tool_use_id": f"c{i}", "content": prose(i, 20)}
        messages.append({"role": "user", "content": [result]})
    session = Conversation(Compressor(store="memory"), model=model, budget=100_000, policy=ON_REQUEST)
    session.append(*messages)
    session.request_compaction()
    view = session.view()
    assert session.cost_report().compactions == 1 and not session.state["compact_requested"]
    assert ("signature" in json.dumps(view)) == (model == "claude-sonnet-4-5")


def test_a_conversation_that_has_its_state_only_searches_what_is_cut_in_it() -> None:
    """As in a tool of a LangChain agent, which sees the state and not the messages."""
    c = Compressor(store="memory")
    messages = conversation(3, sentences=200)
    messages[3]["content"] = f"{prose(70, 100)} {NEEDLE} {prose(80, 100)}"
    session = Conversation(c, policy=Policy(compact=False, tools={"look": ToolRule(max_tokens=300)}))
    session.append(*messages, {"role": "assistant", "content": "Done."}, {"role": "user", "content": "And the clerk?"})
    session.view()
    assert session.cost_report().compactions == 0
    bare = Conversation(c, state=session.state)
    found = bare.context_tools().answer("recall_context", QUESTION)
    assert NEEDLE in found and "[shortened text, message 2]" in found
    assert bare.expand(find_refs(found)[0]) == messages[3]["content"]
