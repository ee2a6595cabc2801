"""What became of every message of a session: what stands in its view, what was folded, cut or left out, why, and the
originals. Reads a session's data; changes nothing and decides nothing.

A session keeps what it sends and where the originals are, not the scores behind a cut, so a reason here is the rule by
which something went, and what is kept of a text is found by looking (`spans`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from compressor.context.formats import detect_format
from compressor.context.formats.signed_reasoning import strip_finished_reasoning
from compressor.context.model import Context, TextSlot, Turn
from compressor.context.refs import find_refs
from compressor.errors import ContextError, UnknownRefError
from compressor.service.dashboard import text_alignment
from compressor.sessions import Policy, archive
from compressor.sessions.state import MessageRecord, SessionState
from compressor.sessions.tool_result_ingest import is_duplicate_note
from compressor.storage.base import BlobStore
from compressor.tokens import get_counter

PREVIEW = 160  # characters
#: From what matters most to what matters least: a message is as its weightiest block is.
ACTIONS = ("index", "excerpt", "dropped", "folded", "kept")
_HELD = "pinned"
_LEFT = "its round left the view: a line of the index stands for it"


@dataclass
class SessionInspector:
    """One session: `front` are the system messages before it, `live` the messages of the state's entries."""

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
        self._rounds = archive.list_rounds(self.store, self.state.pages)
        gone = self._gone(originals)
        try:
            self._read({**originals, **gone})
        except ContextError:  # what has gone is of no use without all of it
            self._read(originals)
        self.missing = [at for at in range(self.state.count) if at not in self._turns]

    def rows(self, after: int | None = None, most: int | None = None) -> list[dict[str, Any]]:
        """A line for every message, or for at most so many after a number: system messages in front have the numbers
        before 0."""
        numbers = sorted(number for number in self._turns if after is None or number > after)
        return [self._row(number) for number in numbers[:most]]

    def evicted_rounds(self) -> list[dict[str, Any]]:
        """The rounds that have left the view, in the order in which they did, each with the ref of its text."""
        return [{"label": label, "ref": ref} for ref, label, *_ in self._rounds]

    def message(self, number: int, original: bool = False) -> dict[str, Any]:
        """A message with its blocks. `original`: with the texts of what is not in the view, too. UnknownRefError if there is
        none of that number, or if it has left the view and is not stored any more."""
        if number not in self._turns:
            raise UnknownRefError(f"message {number}")
        entry = self._entries.get(number)
        turn = self._turns[number]
        blocks = [self._block(slot, entry, number < 0, original) for slot in turn.slots]
        if entry is not None and entry.reasoning_stripped:
            blocks += [self._thought(slot, original) for slot in self._thoughts(number)]
        return {**self._row(number), "blocks": [{"block": i, **block} for i, block in enumerate(blocks)]}

    # -- reading

    def _read(self, messages: Mapping[int, Any]) -> None:
        numbers = sorted(messages)
        listed = [messages[at] for at in numbers]
        self._originals = dict(messages)
        whole = [*self.system_messages, *listed]
        if any(entry.reasoning_stripped for entry in self._entries.values()):
            bare, _ = strip_finished_reasoning(listed, detect_format(whole))
            if len(bare) == len(listed):
                listed = [
                    new if at in self._entries and self._entries[at].reasoning_stripped else old
                    for at, new, old in zip(numbers, bare, listed, strict=True)
                ]
        whole = [*self.system_messages, *listed]
        self._context = detect_format(whole).parse(whole) if whole else Context([], [], "")
        lead = len(self.system_messages)
        self._turns = {
            (turn.index - lead if turn.index < lead else numbers[turn.index - lead]): turn
            for turn in self._context.turns
        }

    def _gone(self, live: Mapping[int, Any]) -> dict[int, Any]:
        """The messages that have left the view and are still stored, by their numbers."""
        found = archive.readable_texts(self.store, self.state.scopes, [exact for _, _, exact, _ in self._rounds])
        gone: dict[int, Any] = {}
        for _, _, exact, numbers in self._rounds:
            data = json.loads(found.get(exact, "null"))
            if isinstance(data, list) and len(data) == len(numbers):  # a text is reasoning, whose message has stayed
                gone |= {at: message for at, message in zip(numbers, data, strict=True) if at not in live}
        return gone

    # -- telling

    def _row(self, number: int) -> dict[str, Any]:
        turn, entry = self._turns[number], self._entries.get(number)
        size = self._counter.count_turn(turn, self._context.dialect)
        row: dict[str, Any] = {"number": number, "role": turn.role, "name": _name(turn), "preview": _preview(turn)}
        if number < 0:
            return {**row, "action": "kept", "reason": _HELD, "tokens_before": size, "tokens_after": size}
        if entry is None:
            return {**row, "action": "gone", "reason": _LEFT, "tokens_before": size, "tokens_after": 0}
        told = [self._told(slot, entry) for slot in turn.slots]
        action, reason = min(told, key=lambda one: ACTIONS.index(one[0]), default=("kept", ""))
        if entry.reasoning_stripped and action == "kept":
            action, reason = "excerpt", "the reasoning of a finished turn left the view"
        if action == "dropped" and any(one[0] != "dropped" for one in told):
            action = "excerpt"
        if entry.pinned:
            reason = _HELD
        sizes = {"tokens_before": entry.raw_tokens, "tokens_after": entry.tokens}
        return {**row, "action": action, "reason": reason, **sizes}

    def _told(self, slot: TextSlot, entry: MessageRecord | None) -> tuple[str, str]:
        """What was done with a text, and why."""
        after = slot.text if entry is None else entry.edits.get(slot.path, slot.text)
        if entry is None or after == slot.text:
            return "kept", ""
        if is_duplicate_note(after):
            return "folded", "the same text stands in the view already, as another result"
        if entry.holds_index and after.startswith(archive.HEADING):
            what = "a summary and an index" if self.state.summary else "an index"
            return "index", f"{what} of the rounds that have left the view stands in the place of this text"
        if not text_alignment.is_cut(slot.text, after):
            return "folded", "lossless: the same in a shorter form"
        dropped = text_alignment.is_fully_dropped(after)
        return ("dropped" if dropped else "excerpt"), self._why(slot)

    def _why(self, slot: TextSlot) -> str:
        """The rule by which something of a text went."""
        compactions = self.state.counters.compactions
        least = "it was worth less for the task than what is kept"
        if slot.kind == "user":
            return "older words of the user: what they lay down stays"
        if slot.kind != "tool_result" or not self._was_long(slot):
            return f"cut in a compaction of the history: {least}"
        if compactions:
            return f"cut when it was new or in a compaction of the history: {least}"
        return f"cut when it was new, as it was long: {least}"

    def _was_long(self, slot: TextSlot) -> bool:
        """Whether a result was cut when it was new (`sessions.birth`)."""
        most = self.policy.rule_for(slot.name).max_tokens
        return self.policy.ingest and self._counter.count(slot.text) > (most or self.policy.tool_result_min_tokens)

    def _block(self, slot: TextSlot, entry: MessageRecord | None, system: bool, original: bool) -> dict[str, Any]:
        before = slot.text if slot.image is None else f"(an image, {slot.image.width} × {slot.image.height})"
        action, reason = self._told(slot, entry)
        after = slot.text if entry is None else entry.edits.get(slot.path, slot.text)
        tokens = self._counter.count(slot.text) if slot.image is None else self._counter.count_image(slot.image)
        if entry is None and not system:
            action, reason, after = "gone", _LEFT, ""
        if system or (entry is not None and entry.pinned):
            reason = _HELD
        left = tokens if after == slot.text else self._counter.count(after) if after else 0
        made: dict[str, Any] = {"kind": slot.kind, "name": slot.name, "action": action, "reason": reason}
        made |= {"tokens_before": tokens, "tokens_after": left, "refs": _new_refs(before, after)}
        if action == "kept":
            made["parts"] = [_part(before, "kept", self._counter.count)] if before else []
        elif action == "excerpt":
            made["parts"] = self._parts(before, after, original)
        else:  # said in another form, or not at all
            kind = "folded" if action == "folded" else "dropped"
            made["parts"] = [self._part(before, kind, original)] if before else []
        if action in ("folded", "excerpt", "index", "dropped"):
            made["sent"] = after
        return made

    def _parts(self, before: str, after: str, original: bool) -> list[dict[str, Any]]:
        """The text from its start to its end: kept stretches as they are, what lies between as what was dropped."""
        out, at = [], 0
        for start, end in [*text_alignment.align_kept_spans(before, after), (len(before), len(before))]:
            text = before[at:start]
            core = text.strip()
            lead = len(text) - len(text.lstrip()) if core else len(text)
            for kind, piece in (("space", text[:lead]), ("dropped", core), ("space", text[lead + len(core) :])):
                if piece:
                    out.append(self._part(piece, kind, original, after))
            if start < end:
                out.append(_part(before[start:end], "kept", self._counter.count))
            at = end
        return out

    def _part(self, text: str, kind: str, original: bool, after: str = "") -> dict[str, Any]:
        part = _part(text, kind, self._counter.count)
        if kind == "dropped" and after and text_alignment.is_repeated(text, after):
            part["reason"] = "what is kept says it, too"
        if kind in ("dropped", "folded") and not original:
            del part["text"]
        return part

    def _thoughts(self, number: int) -> list[TextSlot]:
        """The reasoning that was left out of a message."""
        message = self._originals[number]
        whole = [*self.system_messages, message]
        return [slot for slot in detect_format(whole).parse(whole).turns[-1].slots if slot.kind == "thinking"]

    def _thought(self, slot: TextSlot, original: bool) -> dict[str, Any]:
        tokens = self._counter.count(slot.text)
        reason = "the reasoning of a finished turn left the view"
        made: dict[str, Any] = {"kind": slot.kind, "name": None, "action": "dropped", "reason": reason}
        made |= {"tokens_before": tokens, "tokens_after": 0, "refs": []}
        return {**made, "parts": [self._part(slot.text, "dropped", original)] if slot.text else [], "sent": ""}


def _part(text: str, kind: str, count: Any) -> dict[str, Any]:
    return {"kind": kind, "chars": len(text), "tokens": count(text), "text": text}


def _name(turn: Turn) -> str:
    names = [slot.name for slot in turn.slots if slot.name] or list(turn.extras if turn.call_ids else ())
    return ", ".join(dict.fromkeys(names))[:PREVIEW]


def _preview(turn: Turn) -> str:
    text = next((slot.text for slot in turn.slots if slot.text.strip()), "")
    line = " ".join(text[: 4 * PREVIEW].split())
    return line if len(line) <= PREVIEW else line[: PREVIEW - 1] + "…"


def _new_refs(before: str, after: str) -> list[str]:
    known = set(find_refs(before))
    return [ref for ref in dict.fromkeys(find_refs(after)) if ref not in known]
