"""Reads a context, and remembers it, so that a longer one with the same start costs only its new messages.

`read_context` gives what `detect_format` and the format's `parse` give. A message that was written to since, or whose
calls and results are not complete, is read anew, with all messages behind it.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from compressor.caches import LruCache
from compressor.context.formats import ANY_FORMAT, MessageFormat, detect_format, format_of_state, narrow_formats
from compressor.context.formats.json_values import as_message_list
from compressor.context.formats.tool_call_pairing import ToolCallPairing
from compressor.context.message_copies import common_length, copy_message
from compressor.context.model import Context, Turn
from compressor.context.running_totals import RunningTotals
from compressor.errors import ContextError

_PROMPTS = ("system", "developer")

#: Bytes of all remembered histories: their texts, which callers mostly hold too, and what was read from them.
MAX_BYTES = 20 << 20
MAX_BRANCHES = 8  # histories that begin with the same message
MAX_REWRITTEN = 8  # a history that differs from a known one in up to this many messages at its end replaces it
MESSAGE_BYTES = 1_000  # what is remembered of one message besides its texts


@dataclass(frozen=True, slots=True)
class ReadTurns:
    """The turns of the messages at the start of a history, read in one format.

    Attributes:
        turns: The turns.
        settled: For each message, how many messages from the start up to it can be used again without it.
        last_inputs: For each message, the index of the newest message of a user or the system up to it, see
            `ToolCallPairing`.
        totals: The running totals of the context that they are from.
    """

    turns: list[Turn]
    settled: array[int]
    last_inputs: array[int]
    totals: RunningTotals


@dataclass(frozen=True, slots=True)
class KnownHistory:
    """Messages that were read. Nothing in it changes, but that `reads` gets further formats.

    Attributes:
        copies: Copies of the messages, up to the first that cannot be copied.
        formats: For each of them, which formats the messages up to it may have, see `narrow_formats`.
        reads: What was read, by name of the format.
        size: The size of the history in bytes.
    """

    copies: list[Any]
    formats: bytearray
    reads: dict[str, ReadTurns] = field(default_factory=dict)
    size: int = 0


def _size_of(branches: tuple[KnownHistory, ...]) -> float:
    return sum(history.size for history in branches)


_HISTORIES: LruCache[Any, tuple[KnownHistory, ...]] = LruCache(MAX_BYTES, size_of=_size_of)


def read_context(
    messages: Sequence[Any], tools: Sequence[Any] | None = None, lenient: bool = False
) -> tuple[MessageFormat, Context]:
    """Returns the format of messages and the messages parsed.

    Args:
        messages: The caller's messages.
        tools: The tool schemas that are sent with them.
        lenient: Whether what no provider would accept becomes malformed turns, see `MessageFormat.parse`.

    Raises:
        ContextError: As `detect_format` and `MessageFormat.parse` do.
    """
    listed = messages if isinstance(messages, list) else list(as_message_list(messages))
    key = _key(listed)
    known, same = _find(_HISTORIES.get(key) or (), listed)
    return _read(messages, listed, tools, lenient, key, known, same)


def read_changed(context: Context, messages: list[Any], first_changed: int) -> tuple[MessageFormat, Context]:
    """Returns what `read_context` returns for messages that begin with those of a context, without looking at these.

    Args:
        context: What `read_context` returned. Nobody has written to its messages since.
        messages: The messages.
        first_changed: The index of the first one that is another, or new.

    Raises:
        ContextError: The provider would reject the messages.
    """
    known = context.history
    same = min(first_changed, len(known.copies)) if known is not None else 0
    return _read(messages, messages, context.tools, False, _key(messages), known, same)


def forget_histories() -> None:
    """Forgets all histories."""
    _HISTORIES.clear()


def _read(
    messages: Sequence[Any],
    listed: list[Any],
    tools: Sequence[Any] | None,
    lenient: bool,
    key: Any,
    known: KnownHistory | None,
    same: int,
) -> tuple[MessageFormat, Context]:
    """Reads messages of which the first `same` are those of a known history."""
    formats = known.formats[:same] if known is not None else bytearray()
    state = formats[-1] if formats else ANY_FORMAT
    for message in listed[same:]:
        state = narrow_formats(state, message)
        formats.append(state)
    message_format = format_of_state(state, tools) if listed else None
    if message_format is None:
        message_format = detect_format(messages, tools, lenient)
        return message_format, message_format.parse(messages, tools, lenient)
    before = known.reads.get(message_format.name) if known is not None else None
    try:
        read = _parse(message_format, listed, before, same)
    except ContextError:
        if not lenient:
            raise
        return message_format, message_format.parse(messages, tools, lenient)
    if known is None or same < len(listed):
        known = _remember(key, known, same, listed, formats)
    if before is None or len(read.turns) >= len(before.turns) or same < len(listed):
        known.reads[message_format.name] = read
    settled = read.settled[-1] if read.settled else 0
    return message_format, Context(messages, read.turns, message_format.name, tools, read.totals, known, settled)


def _parse(message_format: MessageFormat, messages: list[Any], before: ReadTurns | None, same: int) -> ReadTurns:
    """Parses messages strictly, and those again that were known but whose calls lacked a result."""
    # A shorter start of the history may be the only one that was read in this format.
    common = min(same, len(before.turns)) if before is not None else 0
    reused = before.settled[common - 1] if before is not None and common else 0
    if before is None or not reused:
        turns: list[Turn] = []
        settled, last_inputs = array("q"), array("q")
    elif reused == len(messages) == len(before.turns):
        return before
    else:
        turns, settled, last_inputs = before.turns[:reused], before.settled[:reused], before.last_inputs[:reused]
    read, check_end = message_format.reader(messages)
    pairing = ToolCallPairing()
    pairing.last_input = last_inputs[-1] if last_inputs else -1
    complete = reused
    for index in range(reused, len(messages)):
        turns.append(read(index, messages[index], pairing))
        if pairing.is_settled:
            complete = index + 1
        settled.append(complete)
        last_inputs.append(pairing.last_input)
    if check_end is not None:
        check_end(turns, pairing)
    return ReadTurns(turns, settled, last_inputs, RunningTotals(turns, before.totals if before else None, reused))


def _find(branches: tuple[KnownHistory, ...], messages: list[Any]) -> tuple[KnownHistory | None, int]:
    """Returns the history that has the most messages at the start in common with a list, and how many that are."""
    best, most = None, 0
    for history in branches:
        if len(history.copies) > most:
            same = common_length(messages, history.copies)
            if same > most:
                best, most = history, same
    return best, most


def _remember(key: Any, known: KnownHistory | None, same: int, messages: list[Any], formats: bytearray) -> KnownHistory:
    copies = known.copies[:same] if known is not None else []
    size = known.size * same // len(known.copies) if known is not None and same else 0
    for message in messages[same:]:
        copied = copy_message(message)
        if copied is None:
            break
        copies.append(copied[0])
        size += MESSAGE_BYTES + copied[1]
    del formats[len(copies) :]
    history = KnownHistory(copies, formats, {}, size)
    if copies:
        branches = _HISTORIES.get(key) or ()
        if known is not None and len(known.copies) - same <= MAX_REWRITTEN:
            branches = tuple(branch for branch in branches if branch is not known)
        _HISTORIES.put(key, (history, *branches)[:MAX_BRANCHES])
    return history


def _key(messages: list[Any]) -> Any:
    """Returns what histories with the same start have in common: the text of the first message that is no prompt."""
    first = next((m for m in messages[:4] if not (isinstance(m, dict) and m.get("role") in _PROMPTS)), None)
    content = first.get("content") if isinstance(first, dict) else getattr(first, "content", None)
    if isinstance(content, list) and content:
        content = content[0].get("text") if isinstance(content[0], dict) else content[0]
    return content if type(content) is str else ""
