"""Shows what has left a session's view as files, for agents that list, read and grep rather than ask.

A file holds the exact text of one message, call or result. `/history/INDEX.md` has a line for each of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from compressor.context.formats import serialization
from compressor.context.model import TextSlot, Turn
from compressor.context.refs import find_refs
from compressor.errors import ContextError, MissingDependencyError
from compressor.sessions import archive
from compressor.sessions.runtime import SessionRuntime
from compressor.sessions.state import MessageRecord, SessionState
from compressor.storage.base import BlobStore

FOLDER = "/history/"
INDEX_PATH = f"{FOLDER}INDEX.md"
MAX_GREP_LINES = 50
MAX_GREP_CHARS = 300  # of one line that `grep` returns
_FIRST_WORDS_CHARS = 60  # in the index
_MAX_NAME_CHARS = 40
_MIN_EXTRA_CHARS = 20  # shorter texts beside the slots are names and types
_NESTED_REPEAT = re.compile(r"\([^()]*[+*}][^()]*\)[+*{]")  # may take time without end
NESTED_REPEAT = "(not searched: the pattern repeats a group that has a repeat in it, write it without)"


@dataclass(frozen=True, slots=True)
class HistoryText:
    """A text that the view does not show, or not whole.

    Attributes:
        message: The number of its message in the whole history, as `recall` shows it.
        who: Who says it: "user", "assistant", "call of search", "result of search".
        name: The same as part of a file name.
        text: The exact text, or None if it is no longer stored.
    """

    message: int
    who: str
    name: str
    text: str | None

    @property
    def extension(self) -> str:
        """Returns the file name extension that suits the text."""
        if self.name in ("user", "assistant", "thinking", "reasoning", "round"):
            return "md"
        return "json" if _is_json(self.text or "") else "txt"


class HistoryFiles(Mapping[str, str]):
    """Files by path: the exact texts that have left a view or are shown cut in it, oldest first, behind their index.

    It is read-only and shows the history as it was when it was made.

    Example:
        >>> files = session.history_files()
        >>> print(files["/history/INDEX.md"])
        >>> print(files.grep("ERROR|timeout"))
    """

    def __init__(self, texts: Sequence[HistoryText], runtime: SessionRuntime) -> None:
        """Takes the texts, oldest first, and what counts their tokens."""
        self._files: dict[str, str] = {}
        lines = []
        for one in texts:
            if one.text is None:
                lines.append(f"- from message {one.message}: {one.who}, no longer stored")
                continue
            path = self._new_path(one)
            self._files[path] = one.text
            tokens = runtime.counter.count(one.text)
            lines.append(f"- {path}: {one.who}, {tokens:,} tokens: {_first_words(one.text)}")
        heading = "# What this conversation no longer shows whole: the number is that of the message, oldest first"
        self._files = {INDEX_PATH: "\n".join([heading, "", *lines]) + "\n", **self._files}

    def _new_path(self, one: HistoryText) -> str:
        stem, number = f"{FOLDER}{max(0, one.message):04d}-{one.name}", 1
        path = f"{stem}.{one.extension}"
        while path in self._files:
            number += 1
            path = f"{stem}-{number}.{one.extension}"
        return path

    def __getitem__(self, path: str) -> str:
        """Returns the text of a file. The folder may be left out."""
        return self._files[FOLDER + path.lstrip("/").removeprefix("history/")]

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {len(self)} files>"

    def grep(self, pattern: str, max_lines: int = MAX_GREP_LINES, ignore_case: bool = False) -> str:
        """Returns the lines that match, each behind its path and number, as `grep -rn` does.

        Args:
            pattern: A regular expression. One that is not valid is searched for as a text; one that repeats a group
                with a repeat in it is not searched, because that may take time without end.
            max_lines: How many lines to return; a last line then says how many there are besides.
            ignore_case: Whether upper and lower case are the same.
        """
        if _NESTED_REPEAT.search(pattern):
            return NESTED_REPEAT
        expression = _compile(pattern, ignore_case)
        found = [
            f"{path}:{number}:{_around(line, match)}"
            for path, text in self._files.items()
            if path != INDEX_PATH
            for number, line in enumerate(text.splitlines(), 1)
            if (match := expression.search(line))
        ]
        shown = found[: max(0, max_lines)]
        if len(found) > len(shown):
            shown.append(f"({len(found) - len(shown)} more lines match: use a narrower pattern)")
        return "\n".join(shown) or f"(no line matches {pattern!r:.80})"


def read_history_files(
    store: BlobStore,
    state: SessionState,
    runtime: SessionRuntime,
    edited: Sequence[tuple[Turn, MessageRecord]] | None,
) -> HistoryFiles:
    """Returns the files of a history, see `Conversation.history_files`.

    Args:
        store: The store of the originals.
        state: The session's state.
        runtime: Parses messages and counts tokens.
        edited: The live messages of which the view shows less than everything. None if the conversation does not have
            them; then their originals are read from the store.
    """
    texts = [*_evicted(store, state, runtime), *(_cut(edited) if edited is not None else _referenced(store, state))]
    unique = {(one.message, one.name, one.text): one for one in texts}  # the message that holds the index is in both
    return HistoryFiles(sorted(unique.values(), key=lambda one: one.message), runtime)


def _evicted(store: BlobStore, state: SessionState, runtime: SessionRuntime) -> Iterator[HistoryText]:
    pages = archive.stored_texts(store, state.page_refs)
    if lost := sum(ref not in pages for ref in state.page_refs):
        yield HistoryText(0, f"all that left in {lost} of {len(state.page_refs)} compactions", "round", None)
    rounds = archive.list_rounds(store, state.page_refs)
    stored = archive.stored_texts(store, [ref for text, _, exact, _ in rounds for ref in (text, exact)])
    last = 0
    for ref, label, exact, indices in rounds:
        last = indices[0] if indices else last
        data = json.loads(stored[exact]) if exact in stored else None
        if isinstance(data, str):  # reasoning that was removed from a message which stayed
            yield HistoryText(last, "reasoning", "reasoning", data)
            continue
        try:
            messages = [serialization.deserialize_message(message) for message in data or ()]
            turns = runtime.parse(messages)[1].turns if messages else []
        except (ContextError, MissingDependencyError):
            turns = []
        if not turns:
            yield HistoryText(last, label, "round", stored.get(ref))
        for i, turn in enumerate(turns):
            number = indices[i] if i < len(indices) else last
            yield from (_slot_text(number, slot) for slot in turn.slots if slot.text)
            yield from _extras(number, turn)


def _extras(number: int, turn: Turn) -> Iterator[HistoryText]:
    """Yields what the provider's own tools said, which is beside the slots."""
    names = {slot.name for slot in turn.slots}
    texts = [text for text in turn.extras if text not in names and len(text) >= _MIN_EXTRA_CHARS]
    if texts:
        yield HistoryText(number, "the provider's tools", "provider", "\n".join(texts))


def _cut(edited: Sequence[tuple[Turn, MessageRecord]]) -> Iterator[HistoryText]:
    for turn, record in edited:
        yield from (_slot_text(record.index, slot) for slot in turn.slots if slot.path in record.edits and slot.text)


def _referenced(store: BlobStore, state: SessionState) -> Iterator[HistoryText]:
    for record in state.records:
        refs = [ref for text in record.edits.values() for ref in find_refs(text)]
        if refs and not record.holds_index:
            for text in archive.readable_texts(store, state.scopes, refs).values():
                yield HistoryText(record.index, "shortened text", "text", text)


def _slot_text(number: int, slot: TextSlot) -> HistoryText:
    if slot.kind in ("tool_call", "tool_result"):
        kind, name = slot.kind.removeprefix("tool_"), slot.name or "tool"
        slug = re.sub(r"[^\w-]+", "-", name)[:_MAX_NAME_CHARS].strip("-") or "tool"
        return HistoryText(number, f"{kind} of {name}", f"{slug}-call" if kind == "call" else slug, slot.text)
    return HistoryText(number, slot.kind, slot.kind, slot.text)


def _is_json(text: str) -> bool:
    if not text.lstrip().startswith(("{", "[")):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _first_words(text: str) -> str:
    words = " ".join(text[: 10 * _FIRST_WORDS_CHARS].split())
    return words if len(words) <= _FIRST_WORDS_CHARS else words[: _FIRST_WORDS_CHARS - 1] + "…"


def _compile(pattern: str, ignore_case: bool) -> re.Pattern[str]:
    flags = re.IGNORECASE if ignore_case else re.RegexFlag(0)
    try:
        return re.compile(pattern, flags)
    except (re.error, RecursionError):
        return re.compile(re.escape(pattern), flags)


def _around(line: str, match: re.Match[str]) -> str:
    """Returns the line, or of a long one the part around the match."""
    if len(line) <= MAX_GREP_CHARS:
        return line
    start = max(0, min(match.start() - MAX_GREP_CHARS // 3, len(line) - MAX_GREP_CHARS))
    end = start + MAX_GREP_CHARS
    return ("…" if start else "") + line[start:end] + ("…" if end < len(line) else "")
