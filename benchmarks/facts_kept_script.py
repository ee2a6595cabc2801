"""Writes generated runs message by message, and keeps book of what is true in them."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.facts_kept_case import Fact, flat, half_of, neighbours
from benchmarks.facts_kept_results import failed_tests, passed_tests, pasted_log, tool_round
from benchmarks.tokens import Message

REMINDERS = (
    "<system-reminder>The file {a} was changed by the user or by a linter. Keep that in mind.</system-reminder>",
    "<system-reminder>Your to-do list has not been used for a while. Use it if it helps.</system-reminder>",
)
#: How agents write their to-do lists: name of the tool, and the shape of its arguments.
LIST_TOOLS = (
    ("write_todos", "todos"),
    ("TodoWrite", "active"),
    ("update_plan", "plan"),
    ("memory", "file"),
    ("shell", "heredoc"),
    ("manage_tasks", "lines"),
)
DONE, DOING, OPEN = "completed", "in_progress", "pending"
_MARKS = {DONE: "x", DOING: "~", OPEN: " "}


@dataclass
class Truth:
    """A fact that holds from one message on until another one; `end` is None while it holds."""

    fact: Fact
    begin: int
    end: int | None = None


@dataclass
class Script:
    """A run that is being written.

    Attributes:
        rng: The source of chance.
        messages: What was written so far.
        truths: What was true at some time.
        values: Strings that stand in one result and that a later call uses.
    """

    rng: random.Random
    messages: list[Message] = field(default_factory=list)
    truths: list[Truth] = field(default_factory=list)
    values: set[str] = field(default_factory=set)
    _open: dict[str, list[Truth]] = field(default_factory=dict)
    _earlier: dict[str, list[str]] = field(default_factory=dict)

    def facts_at(self, call: int) -> list[Fact]:
        """Returns the facts that hold before the message with this index."""
        return [t.fact for t in self.truths if t.begin < call and (t.end is None or call <= t.end)]

    def learn(self, owner: str, facts: Sequence[Fact]) -> None:
        """Notes facts that hold from the last message on, instead of the facts that the owner had before."""
        self.forget(owner)
        self._open[owner] = [Truth(fact, len(self.messages) - 1) for fact in facts]
        self.truths += self._open[owner]

    def forget(self, owner: str) -> None:
        """Notes that the facts of an owner no longer hold after the last message."""
        for truth in self._open.pop(owner, []):
            truth.end = len(self.messages) - 1

    def user(self, text: str, instruction: str = "") -> None:
        """Writes a user's message. `instruction` is what it asks for, if anything."""
        self.messages.append({"role": "user", "content": text})
        if instruction:
            sentence = flat(instruction)
            self.truths.append(Truth(Fact("users", sentence, half_of(sentence)), len(self.messages) - 1))
            self.learn("last instruction", [Fact("last", sentence, half_of(sentence))])

    def say(self, text: str) -> None:
        """Writes a message of the assistant."""
        self.messages.append({"role": "assistant", "content": text})

    def call(self, name: str, arguments: dict[str, Any], result: str, words: str = "") -> None:
        """Writes a tool round."""
        number = f"call_{len(self.messages)}"
        function = {"name": name, "arguments": json.dumps(arguments, ensure_ascii=False)}
        call = {"id": number, "type": "function", "function": function}
        self.messages.append({"role": "assistant", "content": words, "tool_calls": [call]})
        self.messages.append({"role": "tool", "tool_call_id": number, "content": result})

    def work(self, tokens: int, lines: Sequence[str] = (), words: str = "") -> None:
        """Writes a round with a result of about so many tokens, that holds the lines."""
        name, arguments, text = tool_round(self.rng, tokens, list(lines))
        self.call(name, arguments, text, words)

    def state_rule(self, owner: str, sentence: str, lead: str, lifted: bool) -> None:
        """Writes a user's message that sets, changes or lifts the rule about an object, with or without other text."""
        earlier = self._earlier.setdefault(owner, [])
        beside = self.rng.choice(("", "", "", f"\n\n{pasted_log(self.rng)}", f"\n{REMINDERS[1]}"))
        self.user(f"{lead}{sentence}{beside}", sentence)
        kind = "lifted" if lifted else "rules"
        self.learn(owner, [Fact(kind, flat(sentence), owner, owner=owner, outdated=tuple(earlier))])
        earlier.append(flat(sentence))

    def write_list(self, tool: str, shape: str, title: str, entries: Sequence[tuple[str, str]]) -> None:
        """Writes a to-do list as a whole. entries: texts with their states."""
        arguments, shown = list_arguments(shape, title, entries)
        self.call(tool, arguments, "Updated." if shape != "todos" else f"Updated todo list to {arguments['todos']}")
        owner = f"list {title}"
        earlier = self._earlier.setdefault(owner, [])
        doing = [line for line, (_, state) in zip(shown, entries, strict=True) if state == DOING] or shown[-1:]
        outdated = tuple(line for line in dict.fromkeys(earlier) if line not in shown)
        facts = [Fact("state_written", flat(x), neighbours(x, title), owner=owner, outdated=outdated) for x in doing]
        self.learn(owner, facts)
        earlier += doing

    def run_tests(self, command: str, test: str, assertion: str, fails: bool) -> None:
        """Runs a test, which fails with this assertion or passes."""
        self.call(
            "shell",
            {"command": command},
            (failed_tests(self.rng, test, assertion) if fails else passed_tests(self.rng, test)),
        )
        if fails:
            query = neighbours("", command)
            self.learn(command, [Fact("failures", x, query) for x in (test, flat(assertion))])
        else:
            self.forget(command)

    def remark(self, kind: str, owner: str, sentence: str) -> None:
        """Writes a promise or a decision of the assistant, beside its next call."""
        self.work(self.rng.randrange(300, 900), words=sentence)
        self.learn(owner, [Fact(kind, flat(sentence), half_of(sentence))])


def list_arguments(shape: str, title: str, entries: Sequence[tuple[str, str]]) -> tuple[dict[str, Any], list[str]]:
    """Returns the arguments of a call that writes a list, and each entry with its state as the call shows it."""
    if shape in ("todos", "active", "plan"):
        key = "step" if shape == "plan" else "content"
        rows: list[dict[str, str]] = []
        for number, (text, state) in enumerate(entries):
            row = {key: text, "status": state}
            rows.append({"id": str(number), **row, "activeForm": text} if shape == "active" else row)
        shown = [json.dumps({key: text, "status": state}, ensure_ascii=False)[1:-1] for text, state in entries]
        return {"plan" if shape == "plan" else "todos": rows}, shown
    shown = [f"- [{_MARKS[state]}] {text}" for text, state in entries]
    text = "\n".join([f"# {title}", *shown])
    if shape == "file":
        return {"command": "create", "path": f"/memories/{title}.md", "file_text": text}, shown
    if shape == "heredoc":
        return {"command": f"cat > {title}.md <<'EOF'\n{text}\nEOF"}, shown
    return {"operation": "replace", "tasks": shown}, shown
