"""Finds the calls of a run that write or read whole state: files, plans and to-do lists."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.facts_kept_case import Fact, call_arguments, flat, leaf_strings, neighbours
from benchmarks.tokens import Message, message_text

LINES = 2  # distinctive lines that stand for a state
MIN_LINE, MAX_LINE = 14, 300  # characters
PATH_ARGUMENTS = ("path", "file_path", "file", "filename", "filepath", "notebook_path", "target_file")
#: Tools whose calls replace a list or note as a whole: their name is its owner.
LIST_TOOL = re.compile(r"todo|plan|memory|scratchpad|checklist|task_?list", re.I)
WRITE_TOOL = re.compile(r"write|edit|create|insert|replace|patch|update|save", re.I)
WHOLE_WRITE = re.compile(r"write|create|save", re.I)
READ_TOOL = re.compile(r"read|open|view|cat|show|get_file", re.I)
WRITE_COMMANDS = frozenset(("write", "edit", "create", "insert", "str_replace", "append", "update"))
#: Commands of a shell, and of the file editors that agents have there.
_SHELL_WRITE = re.compile(r"(?:^|[\n;&|])\s*(?:cat|tee|echo|printf)\b[^\n]*?>\s*([^\s'\"<>|;&]+)")
_SHELL_READ = re.compile(r"^\s*(?:cat|open|less|head|nl)\s+[\"']?([^\s'\"<>|;&]+)[\"']?[^|>\n]*\s*$")
_SHELL_CREATE = re.compile(r"^\s*create\s+(\S+)\s*$")
_SHELL_EDIT = re.compile(r"^\s*(?:edit|insert|search_replace)\b")
_OPEN_FILE = re.compile(r"\[File: (\S+) \(\d+ lines total\)\]")
_NUMBERED = re.compile(r"^\s*\d+[:\t|]\s?")
_NOT_SAID = re.compile(
    r"^\W*$|^\[File: |^\(Open file: |^\(Current dir|^\(\d+ more lines|^<+ |END CURSOR|^end_of_edit$|^edit \d+:\d+$"
)


@dataclass(frozen=True)
class Version:
    """One state of a file or list.

    Attributes:
        owner: The file, or the name of the tool that keeps the list.
        written: Whether a call wrote it; else a call read it.
        index: The message that holds the call's result.
        lines: Its lines, those of the part that was written or shown.
        whole: Whether it replaces what was written before.
        removed: Lines that the call took out.
    """

    owner: str
    written: bool
    index: int
    lines: tuple[str, ...]
    whole: bool = False
    removed: tuple[str, ...] = ()


def state_versions(messages: Sequence[Message]) -> list[Version]:
    """Returns all states in the order in which they were written or read."""
    results = {m["tool_call_id"]: (i, message_text(m)) for i, m in enumerate(messages) if m["role"] == "tool"}
    found: list[Version] = []
    opened = ""
    for message in messages:
        for call in message.get("tool_calls") or ():
            index, result = results.get(call["id"], (-1, ""))
            if index < 0:
                continue
            arguments = call_arguments(call)
            shown = _OPEN_FILE.search(result)
            opened = shown[1] if shown else opened
            version = _version(call["function"]["name"], arguments, index, result, opened)
            if version and version.lines:
                found.append(version)
    return found


def _version(tool: str, arguments: dict[str, Any], index: int, result: str, opened: str) -> Version | None:
    path = next((str(arguments[name]) for name in PATH_ARGUMENTS if arguments.get(name)), "")
    if path:
        command = str(arguments.get("command", ""))
        writes = command in WRITE_COMMANDS if command else bool(WRITE_TOOL.search(tool))
        if writes:
            texts = {k: v for k, v in arguments.items() if k not in (*PATH_ARGUMENTS, "command")}
            old = [v for k, v in texts.items() if k.startswith("old")]
            new = [v for k, v in texts.items() if not k.startswith("old")]
            whole = not old and bool(WHOLE_WRITE.search(f"{tool} {command}"))
            removed = _lines("\n".join(leaf_strings(old)))
            return Version(path, True, index, _lines("\n".join(leaf_strings(new))), whole, removed)
        return Version(path, False, index, _lines(result)) if READ_TOOL.search(f"{tool} {command}") else None
    if LIST_TOOL.search(tool) and not READ_TOOL.search(tool):
        return Version(tool, True, index, list_lines(arguments), whole=True)
    command = str(arguments.get("command") or arguments.get("cmd") or "")
    if match := _SHELL_WRITE.search(command):
        return Version(match[1], True, index, _lines(command[match.end() :]), ">>" not in match[0])
    if _SHELL_CREATE.match(command) or (opened and _SHELL_EDIT.match(command)):
        return Version(opened, True, index, _lines(command)) if opened else None
    if match := _SHELL_READ.match(command):
        return Version(opened if opened.endswith(match[1]) else match[1], False, index, _lines(result))
    return None


def list_lines(arguments: dict[str, Any]) -> tuple[str, ...]:
    """Returns the entries of a to-do list or note, whatever its arguments look like; an entry's words are one line."""
    found: list[str] = []
    for value in arguments.values():
        for entry in value if isinstance(value, list) else [value]:
            found += _lines("\n".join(leaf_strings(entry)))
    return tuple(dict.fromkeys(found))


def _lines(text: str) -> tuple[str, ...]:
    lines = (flat(_NUMBERED.sub("", line)) for line in text.split("\n"))
    return tuple(dict.fromkeys(x for x in lines if MIN_LINE <= len(x) <= MAX_LINE and not _NOT_SAID.search(x)))


class StateFacts:
    """Answers which states are the newest ones at a call."""

    def __init__(self, messages: Sequence[Message]) -> None:
        self._versions = state_versions(messages)
        self._frequency = Counter(line for version in self._versions for line in version.lines)

    def before(self, call: int, task_start: int) -> list[Fact]:
        """Returns the distinctive lines of the newest state of every file and list before a call."""
        newest: dict[str, Version] = {}
        older: dict[str, list[Version]] = {}
        for version in self._versions:
            if version.index >= call:
                break
            if version.owner in newest:
                older.setdefault(version.owner, []).append(newest[version.owner])
            newest[version.owner] = version
        return [
            fact
            for owner, version in newest.items()
            for fact in self._facts(version, older.get(owner, []), version.index >= task_start)
        ]

    def _facts(self, version: Version, older: list[Version], current: bool) -> list[Fact]:
        earlier = {line for old in older for line in old.lines}
        fresh = [line for line in version.lines if line not in earlier] or list(version.lines)
        chosen = sorted(fresh, key=lambda x: (self._frequency[x], -len(set(x.split()))))[:LINES]
        # Another window of a file, or an edit of another place, makes nothing outdated.
        gone = [line for old in older if version.whole for line in old.lines]
        outdated = tuple(line for line in dict.fromkeys([*version.removed, *gone]) if line not in version.lines)[-40:]
        kind = "state_written" if version.written else "state_read"
        facts = []
        for line in chosen:
            at = version.lines.index(line)
            around = f"{version.owner} {' '.join(version.lines[max(0, at - 1) : at + 2])}"
            facts.append(Fact(kind, line, neighbours(line, around), current, owner=version.owner, outdated=outdated))
        return facts
