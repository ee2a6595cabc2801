"""Which tools are listed, from a task, from searches and from calls."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from compressor import Compressor
from compressor.errors import BudgetError, BudgetTooSmallError
from compressor.mcp_proxy.exposed_tools import ExposedTool
from compressor.mcp_proxy.tool_list import MAX_EVENTS, ToolList
from support.property_tests import given, settings, st

NOUNS = ("invoice", "parcel", "meeting", "ticket", "recipe", "flight", "playlist", "lawn", "kettle", "violin")
VERBS = ("create", "delete", "archive", "rename")
OWN = {"name": "expand_context", "description": "Returns text.", "inputSchema": {"type": "object"}}


def make_tool(verb: str, noun: str) -> ExposedTool:
    return ExposedTool(
        f"{verb}_{noun}",
        "shop" if noun < "m" else "house",
        {
            "name": f"{verb}_{noun}",
            "title": f"{verb} {noun}",
            "description": f"{verb.capitalize()} a {noun}. The {noun} must exist before you {verb} it.",
            "annotations": {"readOnlyHint": False},
            "inputSchema": {
                "type": "object",
                "properties": {f"{noun}_id": {"type": "string"}, "note": {"type": "string", "description": "Why."}},
                "required": [f"{noun}_id"],
            },
            "outputSchema": {"type": "object"},
        },
    )


TOOLS = [make_tool(verb, noun) for noun in NOUNS for verb in VERBS]


def make_list(budget: Any = 700, **options: Any) -> ToolList:
    made = ToolList(Compressor(store="memory"), budget, **options)
    made.set_tools(TOOLS)
    return made


def listed_names(made: ToolList) -> list[str]:
    return [tool["name"] for tool in made.listed()]


def test_what_fits_is_listed_as_it_is() -> None:
    listed = make_list(100_000, own_tools=[OWN]).listed()
    assert listed == [*(tool.tool for tool in TOOLS), OWN]


def test_the_task_decides_and_what_servers_add_stays() -> None:
    made = make_list(500, task="Please archive the violin lesson", own_tools=[OWN])
    listed = {tool["name"]: tool for tool in made.listed()}
    assert {"archive_violin", "find_tool", "run_tool", "expand_context"} <= listed.keys() and len(listed) < len(TOOLS)
    assert listed["archive_violin"]["annotations"] == {"readOnlyHint": False}
    assert listed["archive_violin"]["outputSchema"] == {"type": "object"}
    assert "house (24), " in listed["run_tool"]["description"] or "shop (" in listed["run_tool"]["description"]
    assert made.count_tokens(list(listed.values())) <= 500


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([280, 400, 700, 1_500]))
def test_the_budget_holds_whatever_is_found_and_called(seed: int, budget: int) -> None:
    pick = random.Random(seed)
    made = make_list(budget, own_tools=[OWN])
    for _ in range(12):
        tool = pick.choice(TOOLS)
        if pick.random() < 0.5:
            made.search({"query": pick.choice([tool.name, f"{pick.choice(VERBS)} my {pick.choice(NOUNS)}", ""])})
        else:
            made.note_call(tool.name, {"x": pick.choice([1, None, "я" * 2_000])})
        listed = made.listed()
        assert made.count_tokens(listed) <= budget
        assert len({tool["name"] for tool in listed}) == len(listed)
        assert {"find_tool", "run_tool", "expand_context"} <= {tool["name"] for tool in listed}


def test_what_is_found_and_called_is_listed_from_then_on() -> None:
    made = make_list(600)
    missing = [tool.name for tool in TOOLS if tool.name not in listed_names(made)]
    answer = made.search({"query": missing[0]})
    assert json.dumps(missing[0]) in answer and "run_tool" in answer and missing[0] in listed_names(made)
    made.note_call(missing[1], {})
    assert {missing[0], missing[1]} <= set(listed_names(made))


def test_a_search_lists_and_names_what_else_fits_the_question() -> None:
    made = make_list(600)
    answer = made.search({"query": "make the kettle go away"})
    assert {f"{verb}_kettle" for verb in VERBS} <= set(listed_names(made))
    assert all(f"{verb}_kettle" in answer for verb in VERBS)


def test_a_long_run_stays_within_the_budget() -> None:
    made = make_list(400)
    for number in range(MAX_EVENTS + 20):
        made.note_call(TOOLS[number % len(TOOLS)].name, {"number": number})
        assert made.count_tokens(made.listed()) <= 400
    assert TOOLS[(MAX_EVENTS + 19) % len(TOOLS)].name in listed_names(made)


def test_tools_come_and_go() -> None:
    made = make_list(600)
    made.search({"query": "rename a violin"})
    made.listed()
    made.set_tools(TOOLS[:-1])  # the last one is the one that was found
    assert "rename_violin" not in listed_names(made)
    made.set_tools(TOOLS)
    assert "rename_violin" in listed_names(made)
    made.set_tools([])
    assert made.listed() == [] and made.search({"query": "x"}) == "There are no tools."


def test_pins_that_do_not_fit_are_told_and_ignored() -> None:
    made = make_list(600, pinned=["*_recipe"])
    assert {f"{verb}_recipe" for verb in VERBS} <= set(listed_names(made)) and made.warnings == []
    made = make_list(600, pinned=["*"])
    assert len(listed_names(made)) > 2 and made.count_tokens(made.listed()) <= 600
    assert "--pin is ignored" in made.warnings[0]


def test_wrong_budgets() -> None:
    with pytest.raises(BudgetTooSmallError, match="find_tool"):
        make_list(20)
    with pytest.raises(BudgetError):
        make_list(0)
    assert listed_names(make_list(0.0001)) == ["find_tool", "run_tool"]
    assert make_list(0.5).count_tokens(make_list(0.5).listed()) <= 0.5 * make_list(10**6).count_tokens(
        [tool.tool for tool in TOOLS]
    )


@pytest.mark.parametrize("arguments", [None, {}, {"query": 7}, {"query": ""}, {"query": "x" * 10_000}])
def test_odd_questions_are_answered(arguments: Any) -> None:
    made = make_list(600)
    assert made.search(arguments)
    assert made.listed()
