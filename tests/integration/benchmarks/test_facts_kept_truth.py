"""What a recorded run proves to matter: users' words, re-used strings, states, failures, decisions."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.facts_kept_case import asked_calls
from benchmarks.facts_kept_recorded import (
    convert_openhands,
    convert_swe_agent,
    convert_who_and_when,
    interleave,
    recorded_cases,
)
from benchmarks.facts_kept_reuse import ReusedFacts
from benchmarks.facts_kept_state import StateFacts, state_versions
from benchmarks.facts_kept_truth import RecordedFacts, decisions, failures, is_acknowledgement, own_sentences
from benchmarks.runs_chains import Recorded
from benchmarks.tokens import Message


def rounds(*given: tuple[str, dict[str, Any], str] | str) -> list[Message]:
    """Returns tool rounds (name, arguments, result); a string is a user's message."""
    out: list[Message] = []
    for number, one in enumerate(given):
        if isinstance(one, str):
            out.append({"role": "user", "content": one})
            continue
        function = {"name": one[0], "arguments": json.dumps(one[1])}
        call = {"id": f"c{number}", "type": "function", "function": function}
        out.append({"role": "assistant", "content": "", "tool_calls": [call]})
        out.append({"role": "tool", "tool_call_id": f"c{number}", "content": one[2]})
    return out


def idle(number: int) -> list[tuple[str, dict[str, Any], str]]:
    return [("ls", {"n": k}, f"nothing {k}") for k in range(number)]


def test_own_sentences_have_no_pasted_material() -> None:
    log = "\n".join(f"2026-01-0{k % 9 + 1} 10:00:00 ERROR worker {k} failed with code {k * 7}" for k in range(40))
    text = f"Please look at this log.\n```\n{log}\n```\nIt began on Monday morning."
    assert own_sentences(text) == ["Please look at this log.", "It began on Monday morning."]
    assert own_sentences("A demo\n--- END OF DEMONSTRATION ---\nNow fix the real bug.") == ["Now fix the real bug."]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("Yes, please go on.", True), ("Thank you for your help!", True), ("Yes, cancel order 7.", False)],
)
def test_acknowledgements_are_no_instructions(text: str, expected: bool) -> None:
    assert is_acknowledgement(own_sentences(text)) is expected


def test_the_last_instruction_is_the_newest_that_is_one() -> None:
    messages = rounds(
        "Port the cart module now.", *idle(2), "Use the new gateway instead.", *idle(1), "ok, go on", *idle(3)
    )
    facts = RecordedFacts(Recorded("x", messages, {}), [len(messages) - 2]).at(len(messages) - 2)
    assert [f.text for f in facts if f.kind == "last"] == ["Use the new gateway instead."]
    said = [f.text for f in facts if f.kind == "users"]
    assert said[:2] == ["Port the cart module now.", "Use the new gateway instead."]


def reused(messages: list[Message]) -> set[tuple[str, str]]:
    found = ReusedFacts(messages, [0], 0).by_call
    return {(fact.kind, fact.text) for facts in found.values() for fact in facts}


def test_a_string_that_a_late_call_uses_must_be_remembered() -> None:
    use = ("open", {"id": "OPS-4711"}, "fine")
    read: tuple[str, dict[str, Any], str] = ("list", {}, "a\nticket OPS-4711 is late\nb")
    far = reused(rounds("Go.", read, *idle(24), use))
    assert far == {(kind, "OPS-4711") for kind in ("reused_1", "reused_5", "reused_20", "read_20")}
    assert reused(rounds("Go.", read, *idle(5), use)) == {("reused_1", "OPS-4711")}
    assert reused(rounds("Go.", read, *idle(1), use)) == set()
    assert reused(rounds("Look at OPS-4711.", read, *idle(24), use)) == set()
    seen_again = reused(rounds("Go.", read, *idle(12), read, *idle(5), use))
    assert seen_again == {("reused_1", "OPS-4711")}


def test_failures_are_open_until_the_same_command_succeeds() -> None:
    bad = (
        "tests/test_a.py::test_x FAILED\nE       AssertionError: assert 3 == 4\nFAILED tests/test_a.py::test_x - assert"
    )
    run = ("shell", {"command": "pytest -v"}, bad)
    messages = rounds("Go.", run, *idle(3), ("shell", {"command": "pytest -v"}, "1 passed"), *idle(1))
    found = failures(messages)
    assert {(begin, end) for begin, end, _, _ in found} == {(2, 10)}
    assert any("test_x" in line for _, _, line, _ in found)
    never = rounds(
        "Go.", ("book", {"id": 1}, "Error: no seats"), ("find", {"id": 1}, "fine"), ("book", {"id": 2}, "Error: late")
    )
    assert [(line, end) for _, end, line, _ in failures(never)] == [("Error: no seats", 6), ("Error: late", len(never))]
    assert failures(rounds("Go.", ("read", {}, '12:    raise ValueError("x")\nsrc/a.py:3: # error handling'))) == []


WRITES = [
    ("write_file", {"path": "a.py", "content": "alpha = compute(1)\nbeta = compute(2)"}),
    ("shell", {"command": "cat > a.py <<'EOF'\nalpha = compute(1)\nbeta = compute(2)\nEOF"}),
    ("str_replace_editor", {"command": "create", "path": "a.py", "file_text": "alpha = compute(1)\nbeta = compute(2)"}),
    ("update_plan", {"plan": [{"step": "alpha = compute(1)", "status": "done"}, {"step": "beta = compute(2)"}]}),
    ("TodoWrite", {"todos": [{"content": "alpha = compute(1)"}, {"content": "beta = compute(2)"}]}),
]


@pytest.mark.parametrize(("tool", "arguments"), WRITES)
def test_what_writes_whole_state_is_known(tool: str, arguments: dict[str, Any]) -> None:
    later = json.loads(json.dumps(arguments).replace("beta = compute(2)", "gamma = compute(3)"))
    messages = rounds("Go.", (tool, arguments, "ok"), *idle(1), (tool, later, "ok"))
    facts = StateFacts(messages).before(len(messages), 0)
    assert [f.text for f in facts] == ["gamma = compute(3)"]
    assert facts[0].kind == "state_written" and "beta = compute(2)" in facts[0].outdated
    assert {f.text for f in StateFacts(messages).before(4, 0)} == {"alpha = compute(1)", "beta = compute(2)"}


def test_an_edit_outdates_only_what_it_takes_out() -> None:
    first = {"command": "str_replace", "path": "a.py", "old_str": "one = first()", "new_str": "one = second()"}
    second = {"command": "str_replace", "path": "a.py", "old_str": "two = first(x)", "new_str": "two = second(x)"}
    edits = rounds("Go.", ("editor_edit", first, "ok"), ("editor_edit", second, "ok"))
    facts = StateFacts(edits).before(len(edits), 0)
    assert [(f.text, f.outdated) for f in facts] == [("two = second(x)", ("two = first(x)",))]


def test_reading_is_state_too() -> None:
    text = "first line of the file\nsecond line of the file"
    messages = rounds(
        "Go.",
        ("read_file", {"path": "b.py"}, text),
        ("shell", {"command": "cat c.py"}, text.replace("file", "other")),
        ("shell", {"command": "cat c.py | grep x"}, "no state at all here"),
        ("search", {"query": "b.py"}, "no state at all here"),
    )
    assert [(v.owner, v.written) for v in state_versions(messages)] == [("b.py", False), ("c.py", False)]


def test_decisions_are_sentences_whose_identifiers_are_used_much_later() -> None:
    messages = rounds("Go.", *idle(3), ("run", {"c": "make new_lexer"}, "ok"), *idle(1))
    said = {"role": "assistant", "content": "I will call the module new_lexer from now on. It rains a lot today."}
    messages = [messages[0], said, *rounds(*idle(11)), *messages[1:]]
    calls = [i for i, m in enumerate(messages) if m["role"] == "assistant"]
    found = decisions(messages, calls, [0])
    assert [(at, sentence, identifier) for at, _, sentence, identifier in found] == [
        (1, "I will call the module new_lexer from now on.", "new_lexer")
    ]
    assert decisions(messages, calls, [0, 5]) == []  # another task uses it


def session(name: str, number: int) -> dict[str, Any]:
    messages = [{"role": "system", "content": "You help."}, *rounds(f"Do {name} now please.", *idle(number))]
    return {"id": name, "messages": messages, "probes": []}


def test_tasks_in_turns_are_one_legal_run_with_everything() -> None:
    several = [session("alpha", 7), session("beta", 4), session("gamma", 9), session("delta", 1)]
    merged = interleave([*several, session("rest", 2)], 4)
    assert len(merged) == 1
    messages = merged[0]["messages"]
    assert len(messages) == sum(len(s["messages"]) for s in several) - 3
    calls = [c["id"] for m in messages for c in m.get("tool_calls", ())]
    assert calls == [m["tool_call_id"] for m in messages if m["role"] == "tool"] and len(set(calls)) == len(calls)
    assert [m["role"] for m in messages].count("system") == 1


def test_asked_calls_are_spread_over_the_later_part() -> None:
    messages = rounds("Go.", *idle(30))
    asked = asked_calls(messages, 5)
    assert len(asked) == 6 and asked[0] == 21 and asked[-1] == len(messages) - 2
    assert asked_calls(messages[:1], 5) == []


def test_other_agents_runs_become_messages() -> None:
    entries = [
        {"role": "system", "content": "s"},
        {"role": "user", "content": "task"},
        {"role": "assistant", "content": "t\n```\nls\n```", "thought": "t", "action": "ls"},
        {"role": "user", "content": "a.py"},
        {"role": "assistant", "content": "x", "thought": "x", "action": "pwd"},
    ]
    assert [m["role"] for m in convert_swe_agent({"history": entries})] == ["system", "user", "assistant", "tool"]
    talk = [
        {"name": "Expert", "content": "The task"},
        {"name": "Coder", "content": "Try\n```python\nprint(1)\n```"},
        {"name": "Computer_terminal", "content": "exitcode: 0\n1"},
        {"name": "Checker", "content": ""},
        {"name": "Checker", "content": "It is 1."},
    ]
    found = convert_who_and_when({"history": talk})
    assert [m["role"] for m in found] == ["user", "assistant", "tool", "assistant"]
    assert json.loads(found[1]["tool_calls"][0]["function"]["arguments"]) == {"code": "print(1)\n"}
    function = {"name": "execute_bash", "arguments": '{"command": "ls"}'}
    answer = {"content": "I look.", "tool_calls": [{"id": "t1", "function": function}]}
    given = {
        "function_name": "execute_bash",
        "tool_call_id": "t1",
        "model_response": {"choices": [{"message": answer}]},
    }
    events = [
        {"source": "agent", "action": "system", "args": {"content": "s"}},
        {"source": "user", "action": "message", "args": {"content": "task"}},
        {"source": "user", "action": "recall", "args": {}},
        {"source": "agent", "action": "run", "tool_call_metadata": given, "args": {"command": "ls"}},
        {"source": "agent", "observation": "run", "tool_call_metadata": given, "content": "a.py"},
    ]
    out = convert_openhands({"history": events})
    assert [m["content"] for m in out] == ["s", "task", "I look.", "a.py"]
    assert out[2]["tool_calls"][0]["function"] == function and out[3]["tool_call_id"] == out[2]["tool_calls"][0]["id"]


def test_recorded_cases_are_read_from_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "sessions"
    folder.mkdir()
    long = [session(f"task {k}", 3) for k in range(8)]
    for number, one in enumerate(long):
        one["messages"][-1]["content"] = " ".join(f"word{number}x{i}" for i in range(3_000))
    with gzip.open(folder / "made_up.jsonl.gz", "wt") as out:
        out.writelines(json.dumps(one) + "\n" for one in long)
    cases = list(recorded_cases(tmp_path, 1))
    assert [(c.group, c.domain) for c in cases] == [("60k", "made_up"), ("60k, four tasks in turns", "made_up")]
    assert {f.kind for f in cases[0].facts_at(cases[0].calls[-1])} == {"users", "last"}
    assert list(recorded_cases(tmp_path, 1, ["other"])) == []
