"""Finds the calls that write or read a whole state: to-do lists, plans, memory, files, and questions asked again.

Of the versions of one state only the newest is true. It stays in view, and the older ones leave it first, so that no
old list is taken for the current one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from compressor.context.model import Path, TextSlot, Turn
from compressor.sessions.policy import ToolRule

Key = tuple[str, ...]

#: Words in the names of tools that keep a list or a note of their own.
_STATE_WORDS = frozenset(
    "todo todos task tasks tasklist checklist plan plans planner memory memories scratchpad notebook notes progress"
    " state status blackboard whiteboard agenda".split()
)
_READ_WORDS = frozenset("read get list search find view fetch load query recall show retrieve lookup cat open".split())
_PATH_KEYS = ("path", "file_path", "filepath", "filename", "file_name", "file", "target_file", "notebook_path", "uri")
_CONTENT_KEYS = ("content", "contents", "text", "file_text", "body", "data", "new_content", "source", "code")
_EDIT_KEYS = ("old_string", "old_str", "old_text", "diff", "patch", "insert_line", "edits", "search", "find", "append")
_STATUS_KEYS = ("status", "state", "done", "completed", "checked", "progress", "is_done")
_NAME_KEYS = ("name", "key", "id", "title", "list", "list_id")
_WORD = re.compile(r"[a-z]+|[A-Z]+(?![a-z])|[A-Z][a-z]+")
_HEREDOC = re.compile(r"(?<![<>\d])>\s*([^\s<>|;&]+)\s*<<|<<\s*-?\s*['\"]?\w+['\"]?\s*>\s*([^\s<>|;&]+)")
MIN_CONTENT_CHARS = 20
MIN_SHARED_WORDS = 0.5  # of the shorter text: two answers that share fewer words are not two versions of one
MAX_COMPARED_CHARS = 20_000


@dataclass(frozen=True)
class StateVersion:
    """One version of a state.

    Attributes:
        key: What it is a version of, such as `("file", "src/app.py")`.
        turn: Index of the turn whose text holds it.
        path: Path of that text.
        call_id: Id of the call.
        text: The text.
        is_partial: Whether it only adds to the versions before it.
    """

    key: Key
    turn: int
    path: Path
    call_id: str
    text: str
    is_partial: bool = False

    @property
    def label(self) -> str:
        """Returns what the version is of, in words."""
        return " ".join(self.key[1:])


@dataclass
class StateVersions:
    """The newest version of each state, and the calls whose version is outdated.

    Attributes:
        newest: The versions that are true now, oldest first. There are several of one key if later ones only add.
        outdated_calls: Ids of calls whose state has a newer version.
        outdated_texts: Turn and path of the texts that hold an outdated version.
    """

    newest: list[StateVersion] = field(default_factory=list)
    outdated_calls: set[str] = field(default_factory=set)
    outdated_texts: set[tuple[int, Path]] = field(default_factory=set)

    @classmethod
    def find(cls, turns: Sequence[Turn], rule_for: Callable[[str | None], ToolRule]) -> StateVersions:
        """Finds the states in turns.

        Args:
            turns: The turns, oldest first.
            rule_for: Returns the policy's rule for a tool.
        """
        out = cls()
        current: dict[Key, list[StateVersion]] = {}
        results = {slot.call_id: (turn, slot) for turn in turns for slot in turn.slots if slot.kind == "tool_result"}
        for turn in turns:
            for slot in turn.slots:
                if slot.kind != "tool_call" or not slot.call_id:
                    continue
                found = read_state(turn, slot) or _answer(slot, results, rule_for)
                if found is not None:
                    out._add(current, found)
        out.newest = sorted(
            (v for versions in current.values() for v in versions if v.key[0] != "answer"), key=lambda v: v.turn
        )
        return out

    def _add(self, current: dict[Key, list[StateVersion]], found: StateVersion) -> None:
        before = current.get(found.key, [])
        if found.is_partial or (found.key[0] in ("answer", "note") and not _is_next(before, found)):
            kept = before if found.is_partial or found.key[0] == "note" else []
            current[found.key] = [*kept, found]
            return
        self.outdated_calls.update(v.call_id for v in before)
        self.outdated_texts.update((v.turn, v.path) for v in before)
        current[found.key] = [found]


def _is_next(before: Sequence[StateVersion], found: StateVersion) -> bool:
    """Returns whether a text is a new version of the last one, and not another text under the same name."""
    return bool(before) and _shared_words(before[-1].text, found.text) >= MIN_SHARED_WORDS


def _shared_words(one: str, other: str) -> float:
    a, b = (set(re.findall(r"\w+", text[:MAX_COMPARED_CHARS])) for text in (one, other))
    return len(a & b) / max(1, min(len(a), len(b)))


def read_state(turn: Turn, slot: TextSlot) -> StateVersion | None:
    """Returns the state that a call writes whole, or None."""
    arguments = _parse(slot.text)
    name = slot.name or ""
    words = {word.lower() for word in _WORD.findall(name)}
    key: Key | None = None
    is_partial = False
    if isinstance(arguments, Mapping):
        path = _first(arguments, _PATH_KEYS)
        content = _first(arguments, _CONTENT_KEYS)
        is_edit = any(k in arguments for k in _EDIT_KEYS)
        if path and not words & _READ_WORDS and (is_edit or len(content or "") >= MIN_CONTENT_CHARS):
            key, is_partial = ("file", path), is_edit
        elif not path and (items := _items(arguments, words)) is not None:
            key = ("list", name, items)
            is_partial = bool(arguments.get("merge"))
        elif not path and words & _STATE_WORDS and not words & _READ_WORDS and any(arguments.values()):
            key = ("note", name, _first(arguments, _NAME_KEYS) or "")
        elif (command := _first(arguments, ("command", "cmd", "script", "code"))) is not None:
            key = _written_file(command)
        elif isinstance(command_list := arguments.get("command"), list) and all(
            isinstance(c, str) for c in command_list
        ):
            key = _written_file(" ".join(command_list))
    elif slot.text:
        key = _written_file(slot.text)
    if key is None:
        return None
    return StateVersion(key, turn.index, slot.path, slot.call_id or "", slot.text, is_partial)


def read_path(text: str) -> str | None:
    """Returns the path of the file that a call with these arguments is about, or None."""
    arguments = _parse(text)
    return _first(arguments, _PATH_KEYS) if isinstance(arguments, Mapping) else None


def _written_file(command: str) -> Key | None:
    """Returns the key of the file that a shell command writes whole from a here-document, or None."""
    found = _HEREDOC.search(command)
    return ("file", (found[1] or found[2]).strip("'\"")) if found else None


def _items(arguments: Mapping[str, Any], words: set[str]) -> str | None:
    """Returns the name of the argument that holds a list of items with a status, or any list of a to-do tool."""
    for key, value in arguments.items():
        if not isinstance(value, list) or not value:
            continue
        with_status = all(isinstance(item, Mapping) and any(k in item for k in _STATUS_KEYS) for item in value)
        is_named = bool((words | {w.lower() for w in _WORD.findall(str(key))}) & _STATE_WORDS)
        if with_status or (is_named and not words & _READ_WORDS):
            return str(key)
    return None


def _answer(
    slot: TextSlot, results: Mapping[str | None, tuple[Turn, TextSlot]], rule_for: Callable[[str | None], ToolRule]
) -> StateVersion | None:
    """Returns the answer to a question that may be asked again: the same call is a newer version of it."""
    turn, result = results.get(slot.call_id, (None, None))
    if turn is None or result is None or not result.text:
        return None
    kind = "rules" if rule_for(slot.name).holds_rules else "answer"
    return StateVersion((kind, slot.name or "", slot.text), turn.index, result.path, slot.call_id or "", result.text)


def _first(arguments: Mapping[str, Any], keys: Sequence[str]) -> str | None:
    return next((v for k in keys if isinstance(v := arguments.get(k), str) and v), None)


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
