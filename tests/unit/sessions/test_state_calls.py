"""Which version of a list, plan, note or file is the current one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from compressor.context.formats import detect_format
from compressor.sessions import Policy, ToolRule
from compressor.sessions.state_calls import StateVersions
from support.cpu_time import cpu_time_below

Call = tuple[str, Any] | tuple[str, Any, str]


def versions(*calls: Call, policy: Policy | None = None) -> StateVersions:
    """Returns the states after calls of these names and arguments, with results."""
    messages: list[Any] = [{"role": "user", "content": "Go."}]
    for k, (name, arguments, *result) in enumerate(calls):
        text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
        call = {"id": f"c{k}", "type": "function", "function": {"name": name, "arguments": text}}
        messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
        messages.append({"role": "tool", "tool_call_id": f"c{k}", "content": result[0] if result else "ok"})
    return StateVersions.find(detect_format(messages).parse(messages).turns, (policy or Policy()).rule_for)


def newest(*calls: Call) -> list[int]:
    return [int(v.call_id[1:]) for v in versions(*calls).newest]


def outdated(*calls: Call) -> list[int]:
    return sorted(int(call[1:]) for call in versions(*calls).outdated_calls)


def todos(done: int) -> list[dict[str, str]]:
    return [{"content": f"Step {j}", "status": "completed" if j <= done else "pending"} for j in range(1, 6)]


def heredoc(path: str, text: str, sign: str = ">") -> dict[str, str]:
    return {"command": f"cd src && cat {sign} {path} <<'EOF'\n{text}\nEOF"}


TEXT = "a note that is long enough, number"
REPLACED: dict[str, list[Call]] = {
    "write_todos": [("write_todos", {"todos": todos(0)}), ("write_todos", {"todos": todos(3)})],
    "TodoWrite": [("TodoWrite", {"todos": todos(0)}), ("TodoWrite", {"todos": todos(3)})],
    "emptied": [("TodoWrite", {"todos": todos(4)}), ("TodoWrite", {"todos": []})],
    "update_plan": [("update_plan", {"plan": todos(0)}), ("update_plan", {"explanation": "x", "plan": todos(2)})],
    "not merged": [
        ("todo_write", {"merge": False, "todos": todos(0)}),
        ("todo_write", {"merge": False, "todos": todos(1)}),
    ],
    "manage_todo_list": [("manage_todo_list", {"operation": "write", "todoList": todos(k)}) for k in (0, 2)],
    "set_checklist": [("set_checklist", {"markdown": "- [ ] a\n- [ ] b"}), ("set_checklist", {"markdown": "- [x] a"})],
    "strings": [("update_checklist", {"items": ["[ ] a"]}), ("update_checklist", {"items": ["[x] a"]})],
    "update_todo_list": [
        ("update_todo_list", {"todos": "[ ] Port it\n[ ] Test"}),
        ("update_todo_list", {"todos": "[x] Port it"}),
    ],
    "plan as text": [("update_plan", {"plan": "1. look 2. write"}), ("update_plan", {"plan": "1. done 2. write"})],
    "scratchpad": [("scratchpad", {"text": "totals 1 2 3"}), ("scratchpad", {"text": "totals 1 2 3, next page 4"})],
    "write_file": [
        ("write_file", {"path": "./N.md", "content": f"{TEXT} 1"}),
        ("write_file", {"path": "N.md", "content": f"{TEXT} 2"}),
    ],
    "create": [
        ("str_replace_editor", {"command": "create", "path": "/a.py", "file_text": f"{TEXT} {k}"}) for k in (1, 2)
    ],
    "heredoc": [("bash", heredoc("plan.md", "- [ ] a")), ("bash", heredoc("plan.md", "- [x] a"))],
    "heredoc behind": [("bash", {"cmd": f"cat <<EOF > plan.md\n{k}\nEOF"}) for k in (1, 2)],
    "tee": [("bash", {"command": f"tee plan.md <<EOF\n{k}\nEOF"}) for k in (1, 2)],
    "argument list": [("shell", {"command": ["bash", "-lc", heredoc("plan.md", str(k))["command"]]}) for k in (1, 2)],
    "echo": [("bash", {"command": f"echo 'state of the port: {k}' > status.txt"}) for k in (1, 2)],
    "one memory": [
        ("save_memory", {"key": "city", "value": "Rome"}),
        ("save_memory", {"key": "city", "value": "Oslo"}),
    ],
    "one task": [("TaskUpdate", {"taskId": "2", "status": "open"}), ("TaskUpdate", {"taskId": "2", "status": "done"})],
    "status asked again": [
        ("get_status", {"id": "7"}, "status pending since 10:00 job 7"),
        ("get_status", {"id": "7"}, "status done since 10:00 job 7"),
    ],
}
KEPT: dict[str, list[Call]] = {
    "merged": [("todo_write", {"merge": True, "todos": [{"id": str(k), "status": "completed"}]}) for k in (1, 2)],
    "notes": [("add_note", {"text": f"Customer {name} wants an aisle seat on flight 1"}) for name in ("Anna", "Bert")],
    "memories": [("add_memory", {"content": f"The {x} lives in Rome and has 2 cats"}) for x in ("sister", "brother")],
    "save without a key": [
        ("save_memory", {"fact": f"The {x} lives in Rome, has 2 cats"}) for x in ("sister", "uncle")
    ],
    "two keys": [("save_memory", {"key": "name", "value": "Ann"}), ("save_memory", {"key": "city", "value": "Rome"})],
    "appended block": [
        ("core_memory_append", {"label": "human", "content": f"Likes {x} tea"}) for x in ("green", "black")
    ],
    "two tasks": [("TaskUpdate", {"taskId": str(k), "status": "done"}) for k in (1, 2)],
    "sub-agents": [("task", {"description": f"Research the {x} market", "prompt": "Go"}) for x in ("pump", "valve")],
    "orders": [("create_order", {"items": [{"sku": x, "status": "new"}]}) for x in ("a", "b")],
    "assigned": [("assign_tasks", {"tasks": [x]}) for x in ("A", "B")],
    "appended": [("append_to_file", {"path": "log.md", "content": f"{TEXT} {k}"}) for k in (1, 2)],
    "append mode": [("write_file", {"path": "log.md", "mode": "a", "content": f"{TEXT} {k}"}) for k in (1, 2)],
    "appended in a shell": [("bash", heredoc("plan.md", "1")), ("bash", heredoc("plan.md", "2", ">>"))],
    "cells": [("edit_cell", {"path": "a.ipynb", "cell": k, "source": f"{TEXT} x"}) for k in (1, 2)],
    "lines": [("replace_lines", {"path": "a.py", "start": k, "end": k, "content": f"{TEXT} x"}) for k in (1, 2)],
    "edits": [("edit_file", {"path": "a.py", "old_string": str(k), "new_string": "x"}) for k in (1, 2)],
    "comments": [("add_review_comment", {"path": "a.py", "body": f"{TEXT} {k}"}) for k in (1, 2)],
    "requests": [("http_request", {"uri": "https://x/orders", "body": f"{TEXT} {k}"}) for k in (1, 2)],
    "scripts": [("bash", {"command": f"python - <<EOF > out.txt\nprint({k})\nEOF"}) for k in (1, 2)],
    "manifests": [("bash", {"command": f"kubectl apply -f - <<EOF\nname: {k}\nEOF"}) for k in (1, 2)],
    "pages": [("next_page", {}, f"page {k} has blue and green pens in it") for k in (1, 2)],
    "more output": [("bash_output", {"id": "1"}, f"test_{k} PASSED in the suite of the shop") for k in (1, 2)],
    "other answers": [("search", {"q": "x"}, "one two three"), ("search", {"q": "x"}, "four five six")],
    "failed write": [
        ("write_file", {"path": "a.md", "content": f"{TEXT} 1"}),
        ("write_file", {"path": "a.md", "content": f"{TEXT} 2"}, "Error: permission denied, nothing was written"),
    ],
    "two files": [
        ("bash", {"command": "cat > a.md <<EOF\nx\nEOF\ncat > b.md <<EOF\ny\nEOF"}),
        ("bash", {"command": "cat > a.md <<EOF\nz\nEOF"}),
    ],
}


@pytest.mark.parametrize("calls", REPLACED.values(), ids=REPLACED)
def test_a_newer_version_replaces_the_older_one(calls: list[Call]) -> None:
    assert outdated(*calls) == [0] and 0 not in newest(*calls)
    assert outdated(*calls, ("look", {"page": 1}), calls[1]) == [0, 1]


@pytest.mark.parametrize("calls", KEPT.values(), ids=KEPT)
def test_what_only_adds_or_is_about_something_else_replaces_nothing(calls: list[Call]) -> None:
    assert outdated(*calls) == []


def test_edits_stay_with_the_file_until_it_is_written_anew() -> None:
    create = ("str_replace_editor", {"command": "create", "path": "/a.py", "file_text": f"{TEXT} 1"})
    edit = ("str_replace_editor", {"command": "str_replace", "path": "/a.py", "old_str": "1", "new_str": "2"})
    patch = ("apply_patch", {"patch": "*** Begin Patch\n*** Update File: /a.py\n@@\n-1\n+2\n*** End Patch"})
    tick = ("bash", {"command": "sed -i 's/\\[ \\]/[x]/' /a.py"})
    assert newest(create, edit, patch, tick) == [0, 1, 2, 3]
    assert newest(create, edit, patch, create) == [3] and outdated(create, edit, patch, create) == [0, 1, 2]


def test_a_file_that_was_removed_is_no_state() -> None:
    memory = ("memory", {"command": "create", "path": "/m/p.md", "file_text": f"{TEXT} 1"})
    assert newest(memory, ("memory", {"command": "delete", "path": "/m/p.md"})) == []
    assert outdated(memory, ("delete_file", {"path": "/m/p.md"})) == [0]


def test_results_that_a_rule_marks_are_states() -> None:
    policy = Policy(tools={"read_memory": ToolRule(holds_rules=True)})
    calls: list[Call] = [("read_memory", {}, "Never push."), ("look", {}, "x"), ("read_memory", {}, "You may push.")]
    found = versions(*calls, policy=policy)
    assert [v.text for v in found.newest] == ["You may push."]


@pytest.mark.parametrize(
    "arguments", ["", "{", "[]", "null", '"x"', "{" * 10_000, '{"todos": 1}', '{"path": 3}', "[" * 90_000]
)
def test_odd_arguments(arguments: str) -> None:
    assert newest(("write_todos", arguments), ("write_todos", arguments)) in ([], [1])


def test_hostile_commands_take_linear_time() -> None:
    with cpu_time_below(10):
        for part in ("cat > ", "echo a ", "sed -i s ", "tee ", "+++ ", "\n", " ", "cat << E ", "a"):
            text = part * (1_000_000 // len(part))
            versions(("bash", {"command": text}), ("bash", text), ("write_todos", {"todos": text}))
