"""The tools that a conversation lists: stable, branchable, and the same in every worker."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from compressor import BudgetTooSmallError, Compressor
from compressor.providers.tool_listing import StateJournal, ToolListing
from support.many_tools import office_tools

TOOLS = office_tools()
ASKED = [{"role": "user", "content": "Find me a flight to Rome on Friday."}]
LATER = [*ASKED, {"role": "assistant", "content": "Two flights."}, {"role": "user", "content": "Thanks."}]


def called(name: str) -> list[dict[str, Any]]:
    call = {"id": "c1", "type": "function", "function": {"name": name, "arguments": "{}"}}
    return [
        *ASKED,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "ok"},
    ]


def names(tools: list[Any]) -> list[str]:
    return [tool["function"]["name"] for tool in tools]


def unlisted(tools: list[Any]) -> str:
    return [name for name in names(TOOLS) if name not in names(tools)][-1]


def test_equal_tools_of_the_next_request_are_its_own_objects() -> None:
    listing = ToolListing(Compressor(store="memory"), 750, pinned=["share_visa", "no_such_tool"])
    first = listing.select(TOOLS, ASKED)
    again = listing.select(fresh := office_tools(), LATER)
    assert again.tools == first.tools and first.offers_search and first.removed_tokens > 0
    assert any(tool is fresh[-1] for tool in again.tools)  # the pinned one, in the caller's own characters


def test_a_branch_starts_from_the_list_at_its_place() -> None:
    listing = ToolListing(Compressor(store="memory"), 750)
    first = listing.select(TOOLS, ASKED, message_count=1)
    name = unlisted(first.tools)
    grown = listing.select(TOOLS, called(name), message_count=3)
    assert name in names(grown.tools)
    assert listing.copy(1).select(TOOLS, ASKED, message_count=1).tools == first.tools
    assert listing.copy(3).select(TOOLS, called(name), message_count=3).tools == grown.tools
    thawed = pickle.loads(pickle.dumps(listing))
    assert thawed.select(TOOLS, called(name), message_count=3).tools == grown.tools


def test_workers_share_a_journal() -> None:
    compressor = Compressor(store="memory")
    one, other = (ToolListing(compressor, 750, journal=StateJournal(compressor.store, "tools:x")) for _ in range(2))
    first = one.select(TOOLS, ASKED)
    name = unlisted(first.tools)
    grown = other.select(TOOLS, called(name))
    assert name in names(grown.tools) and one.select(TOOLS, called(name)).tools == grown.tools


def test_a_forced_tool_that_was_shortened_is_complete() -> None:
    listing = ToolListing(Compressor(store="memory"), 750)
    first = listing.select(TOOLS, ASKED)
    cut = [tool for tool in first.tools if tool not in TOOLS and names([tool]) != ["find_tool"]]
    name = names(cut)[0]
    forced = listing.select(TOOLS, LATER, tool_choice={"type": "function", "function": {"name": name}})
    assert next(tool for tool in TOOLS if names([tool]) == [name]) in forced.tools


def test_an_answer_needs_tools() -> None:
    listing = ToolListing(Compressor(store="memory"), 750)
    assert listing.answer({"query": "a lamp"}) == "There are no other tools."
    assert "lamp" in listing.answer({"query": "a lamp"}, TOOLS)
    with pytest.raises(BudgetTooSmallError):
        ToolListing(Compressor(store="memory"), 5).select(TOOLS, ASKED)
