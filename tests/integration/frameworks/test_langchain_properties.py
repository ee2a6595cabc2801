"""Whatever an agent does: pairs, budget and prefixes hold, and nothing of ours is an error of the agent's."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("langchain")

from langchain_core.messages import AIMessage, RemoveMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver

from compressor.context.refs import find_refs
from compressor.sessions import Policy
from compressor.testing import ScriptedChatModel
from support.langchain_agents import breaks, create_agent, log_of, middleware, pairs, thread
from support.property_tests import given, settings, st


@tool
def search(query: str) -> str:
    """Searches the log; the number of lines stands in front."""
    return log_of(query, int(query.split()[0]))


CALLS = st.lists(st.integers(1, 90), min_size=1, max_size=3)
TURNS = st.lists(st.lists(CALLS | st.just("expand"), max_size=5), min_size=1, max_size=4)


def _player(turns: list[Any]) -> Any:
    """A script that plays each turn's rounds and then answers. It opens the oldest ref that it sees."""
    steps = [step for turn in turns for step in [*turn, "answer"]]
    number = iter(range(1_000))

    def play(messages: list[Any]) -> Any:
        step = steps.pop(0)
        if step == "answer":
            return "Well."
        refs = [ref for m in messages if isinstance(m, ToolMessage) for ref in find_refs(str(m.content))]
        name, key = ("expand_context", "ref") if step == "expand" else ("search", "query")
        asked = refs[:1] or ["0" * 12] if step == "expand" else [f"{n} pump {next(number)}" for n in step]
        return AIMessage("", tool_calls=[{"name": name, "args": {key: a}, "id": f"c{next(number)}"} for a in asked])

    return play


@settings(max_examples=20, deadline=None)
@given(TURNS, st.sampled_from([1_500, 3_000, 8_000]), st.sampled_from(["model", "tool"]), st.booleans())
def test_whatever_an_agent_does(turns: list[Any], budget: int, where: str, remove: bool) -> None:
    policy = Policy(tool_result_min_tokens=200, tool_result_keep_fraction=0.5, target=("tokens", 1_000))
    ours = middleware(budget, policy=policy, ingest_at=where, fail_open=True)
    model = ScriptedChatModel(script=_player([list(turn) for turn in turns]))
    agent = create_agent(model, [search], middleware=[ours], checkpointer=InMemorySaver())
    removed = False
    for number, _ in enumerate(turns):
        out = agent.invoke({"messages": f"Task {number}: which pump leaks?"}, thread())
        assert out["messages"][-1].content == "Well."
        if remove and number == 0 and len(out["messages"]) > 3:
            agent.update_state(thread(), {"messages": [RemoveMessage(id=out["messages"][-1].id)]})
            removed = True
    small = [text for text in ours.warnings if "smallest possible view" in text]
    assert not [text for text in ours.warnings if "it was sent unchanged" in text]
    for request in model.requests:
        pairs(request)
        assert small or request.tokens() <= budget
    report = ours.cost_report("t")
    assert breaks(model.requests) <= report.compactions + removed
