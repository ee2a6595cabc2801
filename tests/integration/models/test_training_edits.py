"""The generated coding runs: the same ones each time, sound, and with strings to find."""

from __future__ import annotations

import json

import pytest

from training.edits import edits, package_files
from training.reuse import examples
from training.runs import Run

PACKAGES = ("click", "rich")


def generated(number: int) -> list[Run]:
    return list(edits(number, PACKAGES))


def test_runs_are_the_same_each_time() -> None:
    assert generated(8) == generated(8)
    assert len({run.task for run in generated(8)}) == 8


def test_calls_have_their_results_and_the_edit_stands_in_what_was_opened() -> None:
    for run in generated(12):
        calls = [c for m in run.messages for c in m.get("tool_calls", ())]
        results = {m["tool_call_id"]: m["content"] for m in run.messages if m["role"] == "tool"}
        assert [c["id"] for c in calls] == list(results)
        arguments = json.loads(calls[-1]["function"]["arguments"])
        text = arguments.get("old_str") or arguments["command"].split("\n", 1)[1].removesuffix("\nend_of_edit")
        assert all(line in results[calls[-2]["id"]] for line in text.split("\n"))


def test_some_calls_repeat_what_only_tool_outputs_said() -> None:
    found = [e for run in generated(6) for e in examples(run)]
    assert found and all(e.wanted.any() and not e.wanted.all() and e.source == "edits" for e in found)


def test_a_missing_package_is_named() -> None:
    with pytest.raises(SystemExit, match="no_such_package"):
        package_files("no_such_package")
