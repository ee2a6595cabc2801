"""What a session notes about its calls, tools and bills, for a service that reports it."""

from __future__ import annotations

from typing import Any

import pytest

from compressor import Compressor
from compressor.context.refs import find_refs
from compressor.sessions.state import SessionCounters
from compressor.sessions.usage_notes import MAX_NOTES, ToolUse, UsageNotes
from support.client_tools import LOG


def call(name: str, id: str, text: str) -> list[dict[str, Any]]:
    function = {"name": name, "arguments": "{}"}
    return [
        {"role": "assistant", "content": None, "tool_calls": [{"id": id, "type": "function", "function": function}]},
        {"role": "tool", "tool_call_id": id, "content": text},
    ]


def notes_of(session: Any) -> UsageNotes:
    notes: UsageNotes = session._conversation.runtime.usage_notes
    return notes


def test_each_result_is_noted_once_with_its_tool() -> None:
    compressor = Compressor(store="memory")
    session = compressor.session("s", model="gpt-4o")
    session.append({"role": "user", "content": "Why did it stop?"}, *call("read_log", "a", LOG * 2))
    session.append(*call("search", "b", "two hits"))
    first, second = notes_of(session).take_tool_uses()
    assert (first.name, first.results, second.name, second.results) == ("read_log", 1, "search", 1)
    assert first.tokens_before > 1.2 * first.tokens_after > 0 and second.tokens_before == second.tokens_after
    view = session.view()
    assert notes_of(session).has_calls
    assert notes_of(session).take_saved() == pytest.approx(session.cost_report().saved_cost)
    assert not notes_of(session).has_calls and not notes_of(session).take_tool_uses()
    session.view()  # the same view again is no other call
    assert not notes_of(session).has_calls
    session.expand(find_refs(str(view))[0])
    assert notes_of(session).take_tool_uses() == (ToolUse("read_log", expansions=1),)
    session.record_usage({"prompt_tokens": 900, "prompt_tokens_details": {"cached_tokens": 300}})
    assert notes_of(session).take_bills() == (900, 300) and notes_of(session).take_bills() == (0, 0)


def test_results_of_one_message_are_told_apart() -> None:
    """Anthropic's form: one message with the results of several tools."""
    session = Compressor(store="memory").session("s", model="claude-sonnet-4-5")
    uses: list[Any] = [{"type": "tool_use", "id": name, "name": name, "input": {}} for name in ("read_log", "search")]
    results = [
        {"type": "tool_result", "tool_use_id": "read_log", "content": LOG},
        {"type": "tool_result", "tool_use_id": "search", "content": "two hits"},
    ]
    session.append({"role": "user", "content": "Why?"}, {"role": "assistant", "content": uses})
    session.append({"role": "user", "content": results})
    first, second = notes_of(session).take_tool_uses()
    assert first.name == "read_log" and first.tokens_before > 1_000
    assert second.name == "search" and 0 < second.tokens_before < 20


def test_an_expansion_of_an_evicted_round_has_its_tool() -> None:
    session = Compressor(store="memory").session("s", model="gpt-4o", budget=3_000)
    session.append({"role": "user", "content": "Why did it stop?"})
    for i in range(8):
        session.append(*call("read_log", f"c{i}", LOG.replace("worker", f"w{i}")))
        view = session.view()
    notes_of(session).take_tool_uses()
    ref = find_refs(str(view))[0]
    session.expand(ref)
    (use,) = notes_of(session).take_tool_uses()
    assert use.expansions == 1 and use.name in ("read_log", "")


def test_notes_that_nobody_takes_are_limited() -> None:
    notes = UsageNotes()
    for _ in range(MAX_NOTES + 5):
        notes.add_tool_use(ToolUse("a", 1))
    assert notes.take_tool_uses() == (ToolUse("a", MAX_NOTES),)


def test_counters_of_an_older_program_do_not_count_their_savings_again() -> None:
    data = SessionCounters(baseline_cost=3.0, actual_cost=1.0).to_json()
    del data["saved_total"], data["calls_over_window"]
    counters = SessionCounters.from_json(data)
    assert counters.saved_total == 2.0 and counters.calls_over_window == 0
