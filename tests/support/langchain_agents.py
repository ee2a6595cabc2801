"""Provides tools with long results, scripts that use them, and a provider's checks, for the LangChain tests."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from langchain import agents
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import tool

from compressor import Compressor
from compressor.sessions import Policy
from compressor.testing import RecordedRequest, ScriptedChatModel, count_shared_parts
from compressor_agents.langchain import ContextCompressorMiddleware

create_agent: Any = agents.create_agent  # its overloads want each input as its own TypedDict
POLICY = Policy(
    tool_result_min_tokens=600, tool_result_keep_fraction=0.5, target=("tokens", 4_000), keep=("fraction", 0.5)
)  # independent of the defaults
TASK = "Which pump leaks? Look at all of them. Never order parts above 300 EUR."


def log_of(query: str, lines: int = 60) -> str:
    """Returns a log that depends only on the query."""
    draw = random.Random(query)
    made = [
        f"2024-05-{draw.randint(1, 28):02d} INFO pump {draw.randint(1, 90)} at valve V-{draw.randint(100, 999)}: "
        f"{draw.choice(['ok', 'slow', 'was serviced'])} by {draw.choice(['Ann', 'Bo', 'Cy'])}"
        for _ in range(lines)
    ]
    made[lines // 2] = f"2024-05-17 ERROR {query} leaks at valve V-{draw.randint(1000, 9999)}"
    return "\n".join(made)


@tool
def search(query: str) -> str:
    """Searches the log of the plant."""
    return log_of(query)


def ask(number: int, query: str | None = None, name: str = "search") -> AIMessage:
    """An assistant message with one call, whose id is the same in every run."""
    call = {"name": name, "args": {"query": query or f"pump {number}"}, "id": f"c{number}", "type": "tool_call"}
    return AIMessage("", tool_calls=[call])


def both(first: AIMessage, second: AIMessage) -> AIMessage:
    """One message with the calls of two."""
    return AIMessage("", tool_calls=[*first.tool_calls, *second.tool_calls])


def expand_call(ref: str, call_id: str = "x1", **more: Any) -> AIMessage:
    """An assistant message that calls the expand tool."""
    call = {"name": "expand_context", "args": {"ref": ref, **more}, "id": call_id, "type": "tool_call"}
    return AIMessage("", tool_calls=[call])


def scripted(rounds: int, *more: Any, answer: str = "None leaks.") -> ScriptedChatModel:
    """A model that searches `rounds` times, plays `more` and answers."""
    return ScriptedChatModel(script=[*map(ask, range(rounds)), *more, answer])


def middleware(budget: Any = 6_000, **options: Any) -> ContextCompressorMiddleware:
    """Returns a middleware with a store in memory that raises errors."""
    given = {"compressor": Compressor(store="memory"), "policy": POLICY, "fail_open": False, **options}
    return ContextCompressorMiddleware(budget, **given)


def thread(name: str = "t") -> Any:
    """Returns a config with a thread id."""
    return {"configurable": {"thread_id": name}}


def pairs(request: RecordedRequest) -> None:
    """Checks that every call is followed by its result, and every result has its call."""
    waiting: list[str] = []
    for message in request.messages:
        if isinstance(message, ToolMessage):
            assert message.tool_call_id in waiting, f"no call for the result {message.tool_call_id}"
            waiting.remove(message.tool_call_id)
        else:
            assert not waiting, f"no results for the calls {waiting}"
            waiting = [str(call["id"]) for call in message.tool_calls] if isinstance(message, AIMessage) else []
    assert not waiting, f"no results for the calls {waiting}"


def breaks(requests: Sequence[RecordedRequest]) -> int:
    """Returns how many requests do not start with the whole previous request."""
    return sum(count_shared_parts(a, b) < len(a.wire) for a, b in pairwise(requests))


def check(requests: Sequence[RecordedRequest], budget: int, compactions: int) -> None:
    """Checks pairs, budget, tool schemas, and that only compactions change the prefix."""
    for request in requests:
        pairs(request)
        assert request.tokens("gpt-4o") <= budget
        assert request.tools == requests[0].tools
    assert breaks(requests) == compactions
