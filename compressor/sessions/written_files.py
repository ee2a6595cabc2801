"""Finds the files that a tool call writes, edits or removes: by a path and a content, by a patch, or in a shell."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

PATH_KEYS = ("path", "file_path", "filepath", "filename", "file_name", "file", "target_file", "notebook_path", "uri")
_CONTENT_KEYS = ("content", "contents", "text", "file_text", "body", "data", "new_content", "source", "code")
_EDIT_KEYS = frozenset(
    "old_string old_str old_text old_content oldText diff patch insert_line edits search find append line lines"
    " start_line end_line start end line_number cell cell_id cell_number offset position range after before".split()
)
_EDIT_WORDS = frozenset("append insert edit patch add cell line lines region block section".split())
_REMOVE_WORDS = frozenset("delete remove rm unlink".split())
_OTHER_WORDS = frozenset(
    "read get list search find view fetch load query recall show retrieve lookup cat comment review upload send post"
    " email mail grep check lint validate test ask explain http request compare annotate download convert".split()
)
_SHELL_KEYS = ("command", "cmd", "script", "input", "patch", "code")
MIN_CONTENT_CHARS = 20
MAX_COMMAND_CHARS = 40_000  # of a command that is searched: its beginning

_TARGET = r"['\"]?([^\s<>|;&'\"()]{1,300})"
_SHELL_WRITE = re.compile(
    rf"\bcat\s{{0,9}}(?P<a>>>?)\s{{0,9}}{_TARGET}['\"]?\s{{0,9}}<<"
    rf"|\bcat\s{{0,9}}<<-?\s{{0,9}}['\"\\]?\w+['\"]?\s{{0,9}}(?P<b>>>?)\s{{0,9}}{_TARGET}"
    rf"|\btee\s{{1,9}}(?P<c>-a\s{{1,9}})?{_TARGET}['\"]?\s{{0,9}}(?:>\s{{0,9}}/dev/null\s{{0,9}})?<<"
    rf"|^\s{{0,20}}(?:echo|printf)\s[^\n>|]{{10,2000}}(?P<d>>>?)\s{{0,9}}{_TARGET}['\"]?\s{{0,9}}$"
    rf"|\bsed\s(?:-[a-zA-Z]\s)?(?P<e>-i)[^\s|;&]{{0,9}}\s[^\n|;&]{{1,400}}\s{_TARGET}['\"]?\s{{0,9}}(?:$|[\n;&])",
    re.MULTILINE,
)
_PATCH = re.compile(r"^\*\*\* (Add|Update|Delete) File: ([^\n]{1,300})$|^\+\+\+ (?:b/)?([^\s]{1,300})", re.MULTILINE)


@dataclass(frozen=True)
class FileWrite:
    """A file that a call writes.

    Attributes:
        path: Its path, in one spelling.
        is_partial: Whether the call changes only a part.
        is_removed: Whether the call removes the file.
    """

    path: str
    is_partial: bool = False
    is_removed: bool = False


def first_text(arguments: Mapping[str, Any], keys: Sequence[str] = PATH_KEYS) -> str | None:
    """Returns the first of these arguments that is a text and not empty, or None."""
    return next((v for k in keys if isinstance(v := arguments.get(k), str) and v), None)


def written_files(words: Sequence[str], arguments: Mapping[str, Any] | str) -> list[FileWrite]:
    """Returns the files that a call writes, each once.

    Args:
        words: The words of the tool's name, in lower case.
        arguments: The call's arguments, or its text where they are not JSON data.
    """
    if isinstance(arguments, str):
        return _in_command(arguments)
    path = first_text(arguments)
    if path is None:
        command = first_text(arguments, _SHELL_KEYS)
        listed = arguments.get("command")
        if command is None and isinstance(listed, list) and all(isinstance(part, str) for part in listed):
            command = "\n".join(listed)
        return _in_command(command) if command else []
    if path.startswith(("http://", "https://")) or "\n" in path or _OTHER_WORDS.intersection(words):
        return []
    path = normalized_path(path)
    action = arguments.get("command", arguments.get("action", ""))
    if _REMOVE_WORDS.intersection(words) or action in _REMOVE_WORDS:
        return [FileWrite(path, is_removed=True)]
    if action in _OTHER_WORDS:
        return []
    is_edit = bool(_EDIT_KEYS.intersection(arguments)) or bool(_EDIT_WORDS.intersection(words)) or _appends(arguments)
    if is_edit or len(first_text(arguments, _CONTENT_KEYS) or "") >= MIN_CONTENT_CHARS:
        return [FileWrite(path, is_edit)]
    return []


def normalized_path(path: str) -> str:
    """Returns a path in one spelling: `./a//b` and `a/b` are the same file."""
    return posixpath.normpath(path.strip().removeprefix("file://").replace("\\", "/"))


def _appends(arguments: Mapping[str, Any]) -> bool:
    mode = arguments.get("mode", arguments.get("command", ""))
    return isinstance(mode, str) and (mode.startswith("a") or mode in ("insert", "str_replace", "edit", "patch"))


def _in_command(command: str) -> list[FileWrite]:
    """Returns the files that a shell command writes from a here-document or an `echo`, and those that a patch names."""
    command = command[:MAX_COMMAND_CHARS]
    out: dict[str, FileWrite] = {}
    for found in _SHELL_WRITE.finditer(command):
        target = next(g for g in found.groups() if g and g not in (">", ">>", "-i") and not g.startswith("-a"))
        sign = found["a"] or found["b"] or found["c"] or found["d"] or found["e"] or ">"
        if not target.startswith(("/dev/", "&", "$")):
            path = normalized_path(target)
            out.setdefault(path, FileWrite(path, sign != ">"))
    for action, patched, in_diff in _PATCH.findall(command):
        path = normalized_path(patched or in_diff)
        out.setdefault(path, FileWrite(path, action in ("Update", ""), action == "Delete"))
    return list(out.values())
