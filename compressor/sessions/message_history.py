"""Keeps the live messages of a conversation and their records, and renders the view.

It ingests tool results as their rounds complete. For a frozen conversation, to whose messages nobody writes, it parses,
counts and renders each message only once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import takewhile
from operator import attrgetter, is_
from typing import Any

from compressor.context.formats.signed_reasoning import Removed, strip_finished_reasoning
from compressor.context.model import Context, Turn
from compressor.context.tool_rounds import find_round_start, group_tool_rounds
from compressor.errors import CompressorError, ContextError
from compressor.images.policy import ImagePolicy
from compressor.pipeline.tools import search_tool
from compressor.sessions import archive
from compressor.sessions.context_tools import CONTEXT_TOOL_NAMES
from compressor.sessions.earlier_results import EarlierResults
from compressor.sessions.runtime import Edits, ParsedHistory, SessionRuntime
from compressor.sessions.state import MessageRecord, SessionState
from compressor.sessions.tool_result_ingest import ingest_tool_results, refers_to_other
from compressor.sessions.usage_notes import ToolUse

_TOKENS, _RAW_TOKENS, _IS_STRIPPED = attrgetter("tokens"), attrgetter("raw_tokens"), attrgetter("reasoning_stripped")


class MessageHistory:
    """The messages of one conversation.

    Attributes:
        runtime: The engine, counter and policy.
        state: The state, whose records describe `messages`.
        system: The separate system prompt as messages. It is never compressed, and is not part of the view.
        head: The system messages in front. They are never compressed.
        messages: The originals of the live messages.
    """

    def __init__(self, runtime: SessionRuntime, state: SessionState, system: Any, frozen: bool = False) -> None:
        self.runtime, self.state, self._frozen = runtime, state, frozen
        self.system = system_as_messages(system)
        self.head: list[Any] = []
        self.messages: list[Any] = []
        self._parsed_history: ParsedHistory | None = None  # of the messages as they are now
        self._head_tokens: tuple[list[Any], Any, int] | None = None  # system messages, tools, their tokens
        # By number of the message: the message, its edits, and what they made of it.
        self._render_cache: dict[int, tuple[Any, Edits, Any]] = {}
        self._earlier = EarlierResults()

    @property
    def front(self) -> list[Any]:
        """Returns all system messages in front."""
        return [*self.system, *self.head]

    @property
    def last_digest(self) -> str:
        """Returns the digest of the whole history, or "" for none."""
        return self.state.records[-1].digest if self.state.records else ""

    def add(self, message: Any, digest: str, pin: bool = False) -> None:
        """Adds a message. Call `ingest_new_results` afterwards."""
        self.state.records.append(MessageRecord(self.state.count, digest, pinned=pin))
        self.state.count += 1
        self.messages.append(message)
        self.invalidate_cache()

    def truncate(self, count: int) -> None:
        """Forgets the records from `count` on.

        If that is all of them, the evicted rounds belong to another history, and are forgotten, too.
        """
        state = self.state
        del state.records[count:]
        state.count = state.records[-1].index + 1 if count else 0
        state.images = state.records[-1].images if count else 0
        state.counters.unchanged_tokens = min(self.tokens(), state.counters.actual_last)
        state.counters.message_count = -1
        if not count:
            state.page_refs, state.index_lines, state.older_ref, state.older_rounds, state.evicted_tokens = (
                [],
                [],
                "",
                0,
                0,
            )
            state.summary, state.last_evicted, state.index_numbers = None, -1, []
            state.receipt, state.receipt_refs = None, []
        state.scanned = min(state.scanned, state.count)
        state.open_items = [item for item in state.open_items if item[3] < state.count]

    def invalidate_cache(self) -> None:
        """Forgets what was parsed and rendered, because messages were exchanged or written to."""
        if not self._frozen:
            self._parsed_history = self._head_tokens = None
            self._render_cache = {}
            self._earlier.forget_images()

    def _read(self) -> ParsedHistory:
        messages = [*self.front, *self.current_messages()]
        known = self._parsed_history
        if known is not None and self._frozen:
            before = known.context.messages
            is_prefix = len(before) <= len(messages) and all(map(is_, before, messages))
            if not is_prefix or known.context.tools is not self.runtime.tools:
                known = None
        if known is None or len(known.context.messages) != len(messages):
            known = self._parsed_history = self.runtime.read_all(messages, known if self._frozen else None)
        return known

    def _parsed(self) -> Context:
        return self._read().context if self.messages or self.head or self.system else self.runtime.read([])

    def turns(self) -> list[Turn]:
        """Returns the live messages as turns."""
        return self._parsed().turns[len(self.front) :]

    def live_turns(self) -> list[tuple[Turn, MessageRecord]] | None:
        """Returns the live messages with their records, or None if they are not known yet."""
        if len(self.messages) != len(self.state.records):
            return None
        return list(zip(self.turns(), self.state.records, strict=True))

    def edited_turns(self) -> list[tuple[Turn, MessageRecord]] | None:
        """Returns the live messages of which the view shows less than everything, or None if they are not known yet."""
        live = self.live_turns()
        return None if live is None else [(turn, record) for turn, record in live if record.edits]

    def ingest_new_results(self, deduplicate: bool = True, edit: bool = True) -> None:
        """Counts new messages, and compresses the tool results of rounds that are complete.

        Args:
            deduplicate: Replace a result whose text is in the view already by a note.
            edit: Compress the results; otherwise they stay as they are from now on.

        Raises:
            ContextError: A provider would refuse the messages.
        """
        entries = self.state.records
        ingested = [entry.ingested for entry in entries]
        if all(ingested):
            return
        first = ingested.index(False)
        lead = len(self.front)
        context = self._parsed()
        turns = context.turns[lead:]
        for turn, entry in zip(turns[first:], entries[first:], strict=True):
            if not entry.raw_tokens:
                entry.raw_tokens = entry.tokens = self.runtime.tokens(turn, context)
                self.state.images += sum(slot.image is not None for slot in turn.slots)
                entry.images = self.state.images
        start = find_round_start(turns, first)
        earlier = self._earlier.read(turns[:start], entries, self.messages) if deduplicate else {}
        for group in group_tool_rounds(turns[start:]):
            members = [i - lead for i in group if i >= lead]
            calls = {call for i in members for call in turns[i].call_ids}
            answers = {answer for i in members for answer in turns[i].result_call_ids}
            results = [
                i for i in members if turns[i].result_call_ids and not (entries[i].ingested or entries[i].pinned)
            ]
            if results and calls <= answers and edit and self.runtime.policy.ingest:
                shown = sorted({*_first_and_last_user(turns[: members[0]]), *members})
                edits = ingest_tool_results(
                    self.runtime,
                    [self.messages[i] for i in shown],
                    [shown.index(i) for i in results],
                    self.state.expansions,
                    earlier,
                )
                for k, own in edits.items():
                    self._edit(shown[k], turns[shown[k]], own)
            if calls <= answers:
                for i in members:
                    if deduplicate and turns[i].result_call_ids and not entries[i].ingested:
                        self._note_tool_use(turns[i], entries[i])
                    entries[i].ingested = True
            for i in members:
                if deduplicate and not entries[i].edits and turns[i].result_call_ids:
                    earlier.update(self._earlier.of_message(turns[i], entries[i], self.messages[i]))
        policy = self.runtime.engine.images
        if edit and self.runtime.policy.ingest and policy is not None:
            self._ingest_images(policy, [i for i, done in enumerate(ingested) if not done], deduplicate)

    def _ingest_images(self, policy: ImagePolicy, positions: Sequence[int], deduplicate: bool) -> None:
        """Makes the images of new results cheaper, and lets stale screenshots leave.

        Args:
            policy: What may be done with images.
            positions: The positions of the messages that are new.
            deduplicate: Replace an image that resembles one in the view by a note.
        """
        context, lead, entries = self._parsed(), len(self.front), self.state.records
        turns = context.turns[lead:]
        new = [i for i in positions if any(slot.image is not None for slot in turns[i].slots)]
        if not new:
            return
        from compressor.sessions.session_images import SessionImages

        images = SessionImages(self.runtime, policy, context, lead, entries, deduplicate)
        shown = {i for i in new if turns[i].role != "assistant" and entries[i].ingested and not entries[i].pinned}
        for i, own in images.ingest(shown).items():
            self._edit(i, turns[i], {**entries[i].edits, **own})
        for i, own in (images.drop_stale() if deduplicate else {}).items():
            unchanged = self.head_tokens() + sum(entry.tokens for entry in entries[:i])
            counters = self.state.counters
            known = counters.actual_last if counters.unchanged_tokens < 0 else counters.unchanged_tokens
            counters.unchanged_tokens = min(known, unchanged)
            self._edit(i, turns[i], {**entries[i].edits, **own})

    def _note_tool_use(self, turn: Turn, entry: MessageRecord) -> None:
        slots = [slot for slot in turn.slots if slot.kind == "tool_result"]
        for slot in slots:
            before, after = entry.raw_tokens, entry.tokens
            if len(slots) > 1:
                before = after = self.runtime.slot_tokens(slot)
                if slot.path in entry.edits:
                    after = self.runtime.counter.count(entry.edits[slot.path])
            if slot.name not in CONTEXT_TOOL_NAMES:
                self.runtime.usage_notes.add_tool_use(ToolUse(slot.name or "", 1, before, after))

    def find_tool(self, ref: str) -> str:
        """Returns the name of the tool whose result was cut with this ref in its place, or "" if none is found."""
        for turn, record in self.edited_turns() or ():
            for slot in turn.slots:
                if ref in record.edits.get(slot.path, ""):
                    return slot.name or ""
        with suppress(CompressorError):
            for round_ref, label, *_ in archive.list_rounds(self.runtime.open_store(), self.state.page_refs):
                if round_ref == ref:  # the label begins with the name of a tool, or with a role and a colon
                    name = label.split(" ", 1)[0]
                    return "" if name.endswith(":") else name
        return ""

    def expand_duplicate_notes(self) -> dict[int, MessageRecord]:
        """Replaces notes about other results by a form of their own, because the other results may be evicted.

        Returns:
            The old records of these messages, by position.
        """
        noted = {i: e for i, e in enumerate(self.state.records) if any(map(refers_to_other, e.edits.values()))}
        for i, entry in noted.items():
            self.state.records[i] = replace(entry, edits={}, ingested=False, tokens=entry.raw_tokens)
        self.ingest_new_results(deduplicate=False)
        return noted

    def _edit(self, i: int, turn: Any, edits: dict[Any, str]) -> None:
        entry = self.state.records[i]
        entry.edits, entry.tokens = edits, self.runtime.edited_tokens(entry.raw_tokens, turn, edits)

    def malformed_indices(self) -> set[int]:
        """Returns the numbers of the live messages that a provider would refuse."""
        if self._parsed().history is not None:
            return set()
        return {r.index for r, turn in zip(self.state.records, self.turns(), strict=True) if turn.is_malformed}

    def check_well_formed(self, before: set[int]) -> None:
        """Raises ContextError if a provider would refuse a message that is not one of `before`."""
        if self.malformed_indices() - before:
            self.runtime.check([*self.front, *self.messages])

    def check_ready(self) -> None:
        """Raises ContextError if there is no view to send, because a message or a tool result is missing."""
        if not self.messages:
            raise ContextError("the session is empty: append a message first")
        if len(self.messages) != len(self.state.records):
            raise CompressorError(
                "this conversation was made from a state and does not have its messages yet: call `sync` or "
                "`restore` first"
            )
        pending = self._read().pending_call_ids
        if pending:
            raise ContextError(
                f"tool call {min(pending)!r} has no result yet: append the result before you take the view"
            )

    def head_tokens(self) -> int:
        """Returns the tokens of a request without live messages: system messages, tool schemas, start of the reply."""
        front, known = self.front, self._head_tokens
        if (
            known
            and known[1] is self.runtime.tools
            and len(known[0]) == len(front) == common_prefix_length(known[0], front)
        ):
            return known[2]
        tokens = self.runtime.head_tokens(front)
        if self._frozen:
            self._head_tokens = front, self.runtime.tools, tokens
        return tokens

    def tokens(self) -> int:
        """Returns the tokens of the view."""
        return self.head_tokens() + int(sum(map(_TOKENS, self.state.records)))

    def raw_tokens(self) -> int:
        """Returns the tokens of the whole history without compression."""
        own = self.state.evicted_tokens + int(sum(map(_RAW_TOKENS, self.state.records)))
        return self.head_tokens() + self.runtime.removed_tokens + own

    def ends_with_expansion(self) -> bool:
        """Returns whether the newest messages are only answers to calls of the session's own tools."""
        names = CONTEXT_TOOL_NAMES | ({search_tool.NAME} if self.runtime.removed_tokens else set())
        newest = list(takewhile(lambda turn: turn.result_call_ids, reversed(self.turns())))
        return bool(newest) and all(t.slots and all(slot.name in names for slot in t.slots) for t in newest)

    def fixed_tokens(self) -> int:
        """Returns the tokens at the start that a compaction leaves unchanged: system prompt and task."""
        turns = self.turns()
        first = next((i for i, turn in enumerate(turns) if turn.role == "user"), -1)
        return self.head_tokens() + sum(entry.tokens for entry in self.state.records[: first + 1])

    def render(self) -> list[Any]:
        """Returns the view."""
        lead, bodies, entries = len(self.front), self.current_messages(), self.state.records
        messages = [*self.front, *bodies]
        if not self._frozen:
            return self.runtime.render(messages, {lead + i: e.edits for i, e in enumerate(entries) if e.edits})[
                len(self.system) :
            ]
        done = {}
        for i, (entry, body) in enumerate(zip(entries, bodies, strict=True)):
            known = self._render_cache.get(entry.index) if entry.edits else None
            if known and known[0] is body and known[1] is entry.edits:
                done[i] = known[2]
        new = {i: e.edits for i, e in enumerate(entries) if e.edits and i not in done}
        if new:
            read = self._read()
            paths = {(lead + i, path): text for i, own in new.items() for path, text in own.items()}
            messages = read.dialect.render(read.context, self.runtime.draw(read.context, paths))
        for i, shown in done.items():
            messages[lead + i] = shown
        self._render_cache = {
            entries[i].index: (bodies[i], entries[i].edits, messages[lead + i]) for i in (*done, *new)
        }
        return messages[len(self.system) :]

    def current_messages(self) -> list[Any]:
        """Returns the live messages without the signed reasoning that a compaction has removed."""
        if True not in map(_IS_STRIPPED, self.state.records):
            return self.messages
        stripped = self.strip_reasoning()
        return [stripped[i] if e.reasoning_stripped else self.messages[i] for i, e in enumerate(self.state.records)]

    def strip_reasoning(self) -> list[Any]:
        """Returns the live messages without the reasoning of finished turns that their provider does not need.

        Where the model binds signed reasoning to what stands before it, that of the current turn is left out, too.
        """
        left, _ = self._without_reasoning(self.messages)
        # Where reasoning is an item of its own (Responses), it is evicted with its round.
        return left if len(left) == len(self.messages) else self.messages

    def is_reasoning_stripped(self, messages: list[Any], entries: Sequence[MessageRecord]) -> bool:
        """Returns whether all reasoning that was removed from these messages may stay removed."""
        if not any(entry.reasoning_stripped for entry in entries):
            return True
        left, _ = self._without_reasoning(messages)
        return len(left) == len(messages) and all(
            left[i] is not messages[i] for i, e in enumerate(entries) if e.reasoning_stripped
        )

    def removed_reasoning(self, indices: set[int]) -> list[str]:
        """Returns the reasoning that `strip_reasoning` removes from the live messages at these positions."""
        return [text for i, text in self._without_reasoning(self.messages)[1] if i in indices]

    def _without_reasoning(self, messages: list[Any]) -> tuple[list[Any], list[Removed]]:
        dialect, _ = self.runtime.parse(messages)
        return strip_finished_reasoning(messages, dialect, self.runtime.binds_reasoning, lenient=True)


def _first_and_last_user(turns: Sequence[Turn]) -> set[int]:
    """Returns the positions of the first and the last message of the user, without those that also hold results.

    Such a message (Anthropic) would need the calls of these results.
    """
    first = next((i for i, turn in enumerate(turns) if turn.role == "user" and not turn.result_call_ids), None)
    if first is None:
        return set()
    places = range(len(turns) - 1, first, -1)
    return {first, next((i for i in places if turns[i].role == "user" and not turns[i].result_call_ids), first)}


def common_prefix_length(one: Sequence[Any], other: Sequence[Any]) -> int:
    """Returns how many objects at the start of two sequences are the same."""
    same = list(map(is_, one, other))
    return same.index(False) if False in same else len(same)


def system_as_messages(system: Any) -> list[Any]:
    """Returns a separate system prompt (a text, content blocks, a message) as messages."""
    if isinstance(system, (str, list, tuple)) and system:
        return [{"role": "system", "content": system}]
    return [system] if system else []


def is_system(message: Any) -> bool:
    """Returns whether a message is a system or developer message."""
    role = message.get("role") if isinstance(message, Mapping) else getattr(message, "role", None)
    return role in ("system", "developer") or getattr(message, "type", None) == "system"
