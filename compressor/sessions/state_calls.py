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
from compressor.sessions.written_files import FileWrite, first_text, written_files

Key = tuple[str, ...]

#: Words in the names of tools that keep a list or a note of their own.
_STATE_WORDS = frozenset(
    "todo todos task tasks tasklist checklist plan plans planner memory memories scratchpad notebook note notes"
    " progress state status blackboard whiteboard agenda outline steps".split()
)
_WRITE_WORDS = frozenset(
    "write set update save edit put replace store manage make create rewrite define revise refresh overwrite sync"
    " modify change list current my the tool project agent session core working file block".split()
)
_WHOLE_WORDS = frozenset("set update overwrite rewrite replace revise refresh write".split())
_ADD_WORDS = frozenset("add append insert log record push prepend extend post submit comment complete assign".split())
_NEW_WORDS = frozenset("create new save store remember".split())  # they add, unless they name what they write
_READ_WORDS = frozenset("read get search find view fetch load query recall show retrieve lookup cat open".split())
_RUN_WORDS = frozenset("run start execute launch spawn delegate dispatch cancel stop delete remove clear wait".split())
_PAGE_WORDS = frozenset(
    "next more page scroll continue output poll tail stream receive pop dequeue draw roll random generate sample step"
    " move click press act".split()
)
_ITEM_LISTS = frozenset("todo todos todolist plan steps checklist tasks items".split())
_STATUS_KEYS = ("status", "state", "done", "completed", "checked", "progress", "is_done")
_CONTENT_KEYS = ("content", "text", "markdown", "note", "notes", "fact", "value", "body", "memory", "message")
_EDIT_KEY = re.compile(r"old(?:_|[A-Z]|$)|find$|diff$|patch$|edits$|search$|append$")
_IDENTITY_KEY = re.compile(
    r"(?:^|_)(?:ids?|key|name|title|label|subject|topic|section|slug|index|number|category|namespace|block)$"
    r"|[a-z](?:Ids?|Key|Name|Title)$"
)
_WORD = re.compile(r"[a-z]+|[A-Z]+(?![a-z])|[A-Z][a-z]+")
_NAME = re.compile(r"(?<=[\w,;] )[A-Z]\w+|\b\w*\d\w*\b")
_FAILED = re.compile(
    r"\W{0,4}(?:(?:tool )?(?:\w{0,40}error|failed|failure|exception|traceback|permission denied|denied|invalid|cannot"
    r"|could not|unable to|rejected)\b|\"?(?:success|ok)\"?: ?false)",
    re.IGNORECASE,
)
MAX_FAILURE_CHARS = 2_000  # a longer result is an answer
MIN_SHARED_WORDS = 0.6  # of the older text: an answer that shares fewer words is not a newer version of it
MIN_SHARED_NOTE_WORDS = 0.8  # the same of notes, whose tool may as well add to those before
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
        is_removed: Whether the state no longer exists.
    """

    key: Key
    turn: int
    path: Path
    call_id: str
    text: str
    is_partial: bool = False
    is_removed: bool = False


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
        current: dict[Key, list[StateVersion]] = {}
        outdated: list[StateVersion] = []
        results = {slot.call_id: (turn, slot) for turn in turns for slot in turn.slots if slot.kind == "tool_result"}
        for turn in turns:
            for slot in turn.slots:
                if slot.kind != "tool_call" or not slot.call_id:
                    continue
                found = read_states(turn, slot)
                result = results.get(slot.call_id)
                if found and result is not None and _has_failed(result[1].text):
                    continue  # what it meant to write is not there
                for version in found or _answer(slot, result, rule_for):
                    outdated += _add(current, version)
        valid = [v for versions in current.values() for v in versions]
        calls = {v.call_id for v in valid}
        texts = {(v.turn, v.path) for v in valid}
        return cls(
            _once(sorted((v for v in valid if v.key[0] != "answer" and not v.is_removed), key=lambda v: v.turn)),
            {v.call_id for v in outdated} - calls,
            {(v.turn, v.path) for v in outdated} - texts,
        )


def _add(current: dict[Key, list[StateVersion]], found: StateVersion) -> list[StateVersion]:
    """Adds a version, and returns the versions that it replaces."""
    before = current.get(found.key, [])
    if found.is_partial and found.key[0] == "file" and not before and read_path(found.text) is None:
        return []  # a patch of a file that no call has written
    if found.is_partial or (found.key[0] == "note" and not _is_next(before, found)):
        current[found.key] = [*before, found]
        return []
    current[found.key] = [found]
    return before if found.key[0] != "answer" or _is_next(before, found) else []


def _once(versions: Sequence[StateVersion]) -> list[StateVersion]:
    """Returns the versions without those whose text holds several states a second time."""
    return list({(v.turn, v.path): v for v in versions}.values())


def _is_next(before: Sequence[StateVersion], found: StateVersion) -> bool:
    """Returns whether a text is a new version of the last one, and not another text under the same name."""
    if not before:
        return False
    old, new = before[-1].text[:MAX_COMPARED_CHARS], found.text[:MAX_COMPARED_CHARS]
    if found.key[0] == "note":
        one, other = _parse(old), _parse(new)
        if isinstance(one, Mapping) and isinstance(other, Mapping) and not one.keys() <= other.keys():
            return False
        if found.key[2:] == ("whole",) or len(found.key) > 3:
            return True
        return set(_NAME.findall(old)) <= set(_NAME.findall(new)) and _kept_words(old, new) >= MIN_SHARED_NOTE_WORDS
    return _kept_words(old, new) >= MIN_SHARED_WORDS


def _kept_words(old: str, new: str) -> float:
    a, b = (set(re.findall(r"\w+", text)) for text in (old, new))
    return len(a & b) / max(1, len(a))


def read_state(turn: Turn, slot: TextSlot) -> StateVersion | None:
    """Returns the state that a call writes whole or in part, or None. Of several it is the first."""
    return next(iter(read_states(turn, slot)), None)


def read_states(turn: Turn, slot: TextSlot) -> list[StateVersion]:
    """Returns the states that a call writes whole or in part: a list, a note, or files."""
    arguments = _parse(slot.text)
    name = slot.name or ""
    words = [word.lower() for word in _WORD.findall(name)]

    def version(key: Key, is_partial: bool = False, is_removed: bool = False) -> StateVersion:
        return StateVersion(key, turn.index, slot.path, slot.call_id or "", slot.text, is_partial, is_removed)

    files: list[FileWrite] = written_files(words, arguments if isinstance(arguments, Mapping) else slot.text)
    if files:
        return [version(("file", file.path), file.is_partial, file.is_removed) for file in files]
    if not isinstance(arguments, Mapping) or first_text(arguments):
        return []
    if (items := _items(arguments, words)) is not None:
        return [version(("list", name, items), bool(arguments.get("merge")) or _is_edit(arguments))]
    if not _writes_note(words, arguments):
        return []
    identity = tuple(f"{k}={v}" for k, v in sorted(arguments.items()) if _IDENTITY_KEY.search(k) and _is_plain(v))
    adds = _ADD_WORDS if identity else _ADD_WORDS | _NEW_WORDS
    if _is_edit(arguments) or adds.intersection(words):
        return [version(("note", name, *identity), True)]
    return [version(("note", name, "whole" if _WHOLE_WORDS.intersection(words) else "", *identity))]


def read_path(text: str) -> str | None:
    """Returns the path of the file that a call with these arguments is about, or None."""
    arguments = _parse(text)
    return first_text(arguments) if isinstance(arguments, Mapping) else None


def _items(arguments: Mapping[str, Any], words: Sequence[str]) -> str | None:
    """Returns the name of the argument that holds a whole list of items, or None."""
    if words and (words[0] in _READ_WORDS or words[0] in _RUN_WORDS):
        return None
    is_named = bool(_STATE_WORDS.intersection(words)) and _STATE_WORDS.union(_WRITE_WORDS).issuperset(words)
    for key, value in arguments.items():
        if not isinstance(value, list) or _IDENTITY_KEY.search(key):
            continue
        with_status = bool(value) and all(
            isinstance(item, Mapping) and any(k in item for k in _STATUS_KEYS) for item in value
        )
        is_list = bool(_ITEM_LISTS.intersection(word.lower() for word in _WORD.findall(key)))
        if (is_named and (with_status or is_list)) or (
            with_status and is_list and not (_ADD_WORDS | _NEW_WORDS).intersection(words)
        ):
            return key
    return None


def _writes_note(words: Sequence[str], arguments: Mapping[str, Any]) -> bool:
    """Returns whether a call writes a note, a memory or a list as text: its tool's name says so."""
    if not _STATE_WORDS.intersection(words) or not any(arguments.values()) or words[0] in _READ_WORDS | {"list"}:
        return False
    if _RUN_WORDS.intersection(words) or any(k in arguments for k in ("prompt", "subagent_type", "query", "filter")):
        return False
    if words[-1] in _READ_WORDS or (words[-1] == "list" and words[0] in _STATE_WORDS):
        return False
    if (_WRITE_WORDS | _ADD_WORDS | _NEW_WORDS).intersection(words):
        return True
    is_bare = _STATE_WORDS.issuperset(words) and not {"task", "tasks", "state", "status"}.issuperset(words)
    return is_bare and any(isinstance(arguments.get(k), str) for k in (*_CONTENT_KEYS, "plan", "todos", "thought"))


def _is_edit(arguments: Mapping[str, Any]) -> bool:
    return any(_EDIT_KEY.match(key) for key in arguments)


def _is_plain(value: Any) -> bool:
    return isinstance(value, (str, int)) and bool(value) and len(str(value)) <= 200


def _answer(
    slot: TextSlot, found: tuple[Turn, TextSlot] | None, rule_for: Callable[[str | None], ToolRule]
) -> list[StateVersion]:
    """Returns the answer to a question that may be asked again: the same call is a newer version of it."""
    if found is None or not found[1].text:
        return []
    turn, result = found
    kind = "rules" if rule_for(slot.name).holds_rules else "answer"
    if kind == "answer" and _PAGE_WORDS.intersection(word.lower() for word in _WORD.findall(slot.name or "")):
        return []  # the same call gives another part each time
    return [StateVersion((kind, slot.name or "", slot.text), turn.index, result.path, slot.call_id or "", result.text)]


def _has_failed(result: str) -> bool:
    return len(result) <= MAX_FAILURE_CHARS and _FAILED.match(result) is not None


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
