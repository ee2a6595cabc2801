"""Shows what happened to each message of a session: what its view has, what was compressed or removed, and why.

A session stores what it sends and where the originals are, but not the scores behind a cut. So a reason given here is
the rule by which text was removed, and the kept parts of a text are found by comparison (`text_alignment`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from compressor.context.formats import detect_format
from compressor.context.formats.signed_reasoning import strip_finished_reasoning
from compressor.context.model import Context, Image, TextSlot
from compressor.context.refs import find_refs
from compressor.errors import ContextError, UnknownRefError
from compressor.images.drawing import image_part
from compressor.service.dashboard import text_alignment
from compressor.service.dashboard.session_images import SessionImage, describe_image, image_outcome
from compressor.service.dashboard.turn_summary import summarize_turn
from compressor.sessions import Policy, archive
from compressor.sessions.evicted_rounds import HEADING
from compressor.sessions.state import MessageRecord, SessionState
from compressor.sessions.tool_result_ingest import refers_to_other
from compressor.storage.base import BlobStore
from compressor.tokens import get_counter

#: What can happen to a block, the most important first. A message has the most important action of its blocks.
ACTIONS = ("index", "excerpt", "dropped", "lossless", "kept")
_PINNED = "pinned"
_TOO_LONG = "the text is too long to be marked: compare it with what was sent"
_EVICTED = "its round was removed from the view; the index has a line for it"


@dataclass
class SessionInspector:
    """Inspects one session.

    Attributes:
        store: Where the originals are.
        model: The model whose tokens are counted.
        system_messages: The system messages in front of the session.
        live_messages: The messages of the state's records.
        state: The state of the session.
        policy: The policy of the session.
        dialect: The format of the messages, "" if there are none.
        missing: The numbers of evicted messages that are not stored any more.
    """

    store: BlobStore
    model: str | None
    system_messages: Sequence[Any]
    live_messages: Sequence[Any]
    state: SessionState
    policy: Policy = field(default_factory=Policy)

    def __post_init__(self) -> None:
        self._counter = get_counter(self.model)
        self._entries = {entry.index: entry for entry in self.state.records}
        live = [*self.system_messages, *self.live_messages]
        self.dialect = "" if not live else detect_format(live).name
        originals = {
            entry.index: message for entry, message in zip(self.state.records, self.live_messages, strict=True)
        }
        self._rounds = archive.list_rounds(self.store, self.state.page_refs)
        evicted = self._evicted(originals)
        try:
            self._read({**originals, **evicted})
        except ContextError:  # evicted messages are readable only if all of them are there
            self._read(originals)
        self.missing = [at for at in range(self.state.count) if at not in self._turns]

    def rows(self, after: int | None = None, limit: int | None = None) -> list[dict[str, Any]]:
        """Returns a row for each message.

        Args:
            after: Return only messages with larger numbers. System messages have negative numbers.
            limit: The maximum number of rows.
        """
        numbers = sorted(number for number in self._turns if after is None or number > after)
        return [self._row(number) for number in numbers[:limit]]

    def evicted_rounds(self) -> list[dict[str, Any]]:
        """Returns the rounds that were evicted from the view, in order, each with the ref of its text."""
        return [{"label": label, "ref": ref} for ref, label, *_ in self._rounds]

    def message(self, number: int, original: bool = False) -> dict[str, Any]:
        """Returns a message with its blocks.

        Args:
            number: The number of the message.
            original: Whether to include the text that is not in the view.

        Raises:
            UnknownRefError: There is no such message, or it was evicted and is not stored any more.
        """
        if number not in self._turns:
            raise UnknownRefError(f"message {number}")
        entry = self._entries.get(number)
        turn = self._turns[number]
        blocks = [self._block(slot, entry, number < 0, original) for slot in turn.slots]
        if entry is not None and entry.reasoning_stripped:
            blocks += [self._reasoning_block(slot, original) for slot in self._stripped_reasoning(number)]
        return {**self._row(number), "blocks": [{"block": i, **block} for i, block in enumerate(blocks)]}

    def images(self, number: int) -> list[SessionImage]:
        """Returns the images of a message, in order.

        Args:
            number: The number of the message.

        Raises:
            UnknownRefError: There is no such message, or it was evicted and is not stored any more.
        """
        if number not in self._turns:
            raise UnknownRefError(f"message {number}")
        entry, turn = self._entries.get(number), self._turns[number]
        edits, is_sent = {} if entry is None else entry.edits, entry is not None or number < 0
        return [
            SessionImage(block, image_part(self._context, (turn.index, slot.path)), edits.get(slot.path, ""), is_sent)
            for block, slot in enumerate(turn.slots)
            if slot.image is not None
        ]

    def _read(self, messages: Mapping[int, Any]) -> None:
        numbers = sorted(messages)
        listed = [messages[at] for at in numbers]
        self._originals = dict(messages)
        whole = [*self.system_messages, *listed]
        if any(entry.reasoning_stripped for entry in self._entries.values()):
            stripped, _ = strip_finished_reasoning(
                listed, detect_format(whole, lenient=True), current=True, lenient=True
            )
            if len(stripped) == len(listed):
                listed = [
                    new if at in self._entries and self._entries[at].reasoning_stripped else old
                    for at, new, old in zip(numbers, stripped, listed, strict=True)
                ]
        whole = [*self.system_messages, *listed]
        self._context = detect_format(whole, lenient=True).parse(whole, lenient=True) if whole else Context([], [], "")
        lead = len(self.system_messages)
        self._turns = {
            (turn.index - lead if turn.index < lead else numbers[turn.index - lead]): turn
            for turn in self._context.turns
        }

    def _evicted(self, live: Mapping[int, Any]) -> dict[int, Any]:
        """Returns the evicted messages that are still stored, by number."""
        found = archive.readable_texts(self.store, self.state.scopes, [exact for _, _, exact, _ in self._rounds])
        evicted: dict[int, Any] = {}
        for _, _, exact, numbers in self._rounds:
            data = json.loads(found.get(exact, "null"))
            if isinstance(data, list) and len(data) == len(
                numbers
            ):  # otherwise it is stripped reasoning, whose message stayed
                evicted |= {at: message for at, message in zip(numbers, data, strict=True) if at not in live}
        return evicted

    def _row(self, number: int) -> dict[str, Any]:
        turn, entry = self._turns[number], self._entries.get(number)
        size = self._counter.count_turn(turn, self._context.format_name)
        row = {"number": number, **summarize_turn(turn)}
        if number < 0:
            return {**row, "action": "kept", "reason": _PINNED, "tokens_before": size, "tokens_after": size}
        if entry is None:
            return {**row, "action": "evicted", "reason": _EVICTED, "tokens_before": size, "tokens_after": 0}
        outcomes = [self._outcome(slot, entry) for slot in turn.slots]
        action, reason = min(outcomes, key=lambda one: ACTIONS.index(one[0]), default=("kept", ""))
        if entry.reasoning_stripped and action == "kept":
            action, reason = "excerpt", "the reasoning of a finished turn was removed"
        if action == "dropped" and any(one[0] != "dropped" for one in outcomes):
            action = "excerpt"
        if entry.pinned:
            reason = _PINNED
        sizes = {"tokens_before": entry.raw_tokens, "tokens_after": entry.tokens}
        return {**row, "action": action, "reason": reason, **sizes}

    def _outcome(self, slot: TextSlot, entry: MessageRecord | None) -> tuple[str, str]:
        """Returns what was done with a text, and why."""
        after = slot.text if entry is None else entry.edits.get(slot.path, slot.text)
        if entry is None or after == slot.text:
            return "kept", ""
        if slot.image is not None and not after.startswith(HEADING):
            return image_outcome(after)
        if refers_to_other(after):
            return "lossless", "the view already has the same text, as another result"
        if entry.holds_index and after.startswith(HEADING):
            what = "a summary and an index" if self.state.summary else "an index"
            return "index", f"replaced by {what} of the evicted rounds"
        if not text_alignment.is_cut(slot.text, after):
            return "lossless", "encoded losslessly in a shorter form"
        dropped = text_alignment.is_fully_dropped(after)
        return ("dropped" if dropped else "excerpt"), self._why(slot)

    def _why(self, slot: TextSlot) -> str:
        """Returns the rule by which a part of a text was removed."""
        compactions = self.state.counters.compactions
        least = "it scored lower for the task than the kept text"
        if slot.kind == "user":
            return "old user text, reduced to its constraints"
        if slot.kind != "tool_result" or not self._was_long(slot):
            return f"removed in a compaction of the history: {least}"
        if compactions:
            return f"removed when the result was new, or in a compaction of the history: {least}"
        return f"removed when the result was new, because it was long: {least}"

    def _was_long(self, slot: TextSlot) -> bool:
        """Returns True if a result was compressed when it was new (`sessions.tool_result_ingest`)."""
        limit = self.policy.rule_for(slot.name).max_tokens
        return self.policy.ingest and self._counter.count(slot.text) > (limit or self.policy.tool_result_min_tokens)

    def _block(self, slot: TextSlot, entry: MessageRecord | None, system: bool, original: bool) -> dict[str, Any]:
        if slot.image is not None:
            return self._image_block(slot, slot.image, entry, system)
        before = slot.text
        action, reason = self._outcome(slot, entry)
        after = slot.text if entry is None else entry.edits.get(slot.path, slot.text)
        tokens = self._counter.count(slot.text)
        if entry is None and not system:
            action, reason, after = "evicted", _EVICTED, ""
        if system or (entry is not None and entry.pinned):
            reason = _PINNED
        remaining = tokens if after == slot.text else self._counter.count(after) if after else 0
        made: dict[str, Any] = {"kind": slot.kind, "name": slot.name, "action": action, "reason": reason}
        made |= {"tokens_before": tokens, "tokens_after": remaining, "refs": _new_refs(before, after)}
        if action == "kept":
            made["parts"] = [_part(before, "kept", self._counter.count)] if before else []
        elif action == "excerpt":
            made["parts"] = self._parts(before, after, original)
        else:  # encoded in another form, or removed
            kind = "lossless" if action == "lossless" else "dropped"
            made["parts"] = [self._part(before, kind, original)] if before else []
        if action in ("lossless", "excerpt", "index", "dropped"):
            made["sent"] = after
        return made

    def _image_block(self, slot: TextSlot, image: Image, entry: MessageRecord | None, system: bool) -> dict[str, Any]:
        action, reason = self._outcome(slot, entry)
        edit = "" if entry is None else entry.edits.get(slot.path, "")
        if entry is None and not system:
            action, reason = "evicted", _EVICTED
        if system or (entry is not None and entry.pinned):
            reason = _PINNED
        made = {"kind": slot.kind, "name": slot.name, "action": action, "reason": reason}
        return made | describe_image(self._counter, slot, image, edit, action != "evicted")

    def _parts(self, before: str, after: str, original: bool) -> list[dict[str, Any]]:
        """Returns the original text as a list of kept, folded and dropped parts, in order."""
        if text_alignment.is_too_long(before):
            return [{**self._part(before, "unmarked", original), "reason": _TOO_LONG}]
        out, at, sent = [], 0, text_alignment.one_spaced(after)
        end_span = text_alignment.Span(len(before), len(before))
        for start, end, span_kind in [*text_alignment.align_spans(before, after), end_span]:
            text = before[at:start]
            core = text.strip()
            lead = len(text) - len(text.lstrip()) if core else len(text)
            for kind, piece in (("space", text[:lead]), ("dropped", core), ("space", text[lead + len(core) :])):
                if piece:
                    out.append(self._part(piece, kind, original, sent))
            if start < end:
                out.append(self._part(before[start:end], span_kind, original))
            at = end
        return out

    def _part(self, text: str, kind: str, original: bool, sent: str = "") -> dict[str, Any]:
        part = _part(text, kind, self._counter.count)
        if kind == "dropped" and sent and text_alignment.is_repeated(text, sent):
            part["reason"] = "the kept text says the same"
        if kind in ("dropped", "lossless", "unmarked") and not original:
            del part["text"]
        return part

    def _stripped_reasoning(self, number: int) -> list[TextSlot]:
        """Returns the reasoning that was stripped from a message."""
        message = self._originals[number]
        whole = [*self.system_messages, message]
        return [slot for slot in detect_format(whole).parse(whole).turns[-1].slots if slot.kind == "thinking"]

    def _reasoning_block(self, slot: TextSlot, original: bool) -> dict[str, Any]:
        tokens = self._counter.count(slot.text)
        reason = "the reasoning of a finished turn was removed"
        made: dict[str, Any] = {"kind": slot.kind, "name": None, "action": "dropped", "reason": reason}
        made |= {"tokens_before": tokens, "tokens_after": 0, "refs": []}
        return {**made, "parts": [self._part(slot.text, "dropped", original)] if slot.text else [], "sent": ""}


def _part(text: str, kind: str, count: Any) -> dict[str, Any]:
    return {"kind": kind, "chars": len(text), "tokens": count(text), "text": text}


def _new_refs(before: str, after: str) -> list[str]:
    known = set(find_refs(before))
    return [ref for ref in dict.fromkeys(find_refs(after)) if ref not in known]
