"""Re-selects a session's history down to a low-water mark: what stays verbatim, what is cut, what leaves the view.

    pinned      system prompt, first and last user message, what the user pinned, users' constraints: as they are
    recent      the newest rounds, at least the open one: as they stand in the view
    older       rounds before them: selected anew from their originals, with the task as the query
    gone        rounds older than that, or of which nothing was kept: a line in the index, the rest behind its ref

History is cut between rounds only, so calls keep their results and signed thinking stays with its call. The index
stands in the oldest tool result that has gone (or, where no tool was called, in the agent's own words), never in a user
or system message. Decides how, not when; touches neither the state nor the store's journal.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from compressor.board import SMALL
from compressor.context import Slot, Turn
from compressor.errors import BudgetTooSmall, CompressorError
from compressor.reducers.constraints import find_constraints
from compressor.refs import mark, ref_of
from compressor.rounds import rounds_of
from compressor.sessions.archive import Gone, Index
from compressor.sessions.kit import Edits, Kit
from compressor.sessions.state import Entry
from compressor.summaries import Summary

REACH = 4.0  # times the low-water mark: originals older than these go without being looked at again
GAIN = 0.9  # a compaction that leaves more than this share of the tokens is not worth a new prefix
SUMMARY_SHARE = 0.15  # of the low-water mark, where there is a summariser
EVER = ("system", "user")  # roles whose messages an index never stands in


@dataclass
class Outcome:
    """The entries that stay, with their new edits; the rounds that left; and the index of all that have."""

    entries: list[Entry]
    gone: list[Gone]
    index: Index
    tokens: int
    summary: dict[str, Any] | None = None
    warnings: list[str] = field(default_factory=list)


@dataclass
class Compaction:
    """One compaction of `entries`, whose originals are `originals` (after `head`, the system prompt before them) and
    which stand in the view as `views`. `index` and `summary` are of what has gone before."""

    kit: Kit
    head: Sequence[Any]
    entries: Sequence[Entry]
    originals: Sequence[Any]
    views: Sequence[Any]
    index: Index
    regrets: Sequence[str]
    summary: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        lead = len(self.head)
        _, context = self.kit.parse([*self.head, *self.views])
        self.turns = [replace(turn, index=turn.index - lead) for turn in context.turns[lead:]]
        _, raw = self.kit.parse([*self.head, *self.originals])
        self.raw = [replace(turn, index=turn.index - lead) for turn in raw.turns[lead:]]
        self.sizes = [self.kit.tokens(turn, raw) for turn in self.raw]
        users = [turn.index for turn in self.turns if turn.role == "user"]
        self.held = {i for i, entry in enumerate(self.entries) if entry.pinned} | {*users[:1], *users[-1:]}
        self.held |= {turn.index for turn in self.turns if turn.role == "system"}
        self.groups = rounds_of(self.turns)

    def run(self, low: int, limit: int) -> Outcome | None:
        """The outcome: about `low` tokens beyond what is held, at most `limit` in all. None if that saves too little.
        BudgetTooSmall if what must stay is larger than `limit`."""
        before = self._total(self.entries)
        room = self._total(self.entries[i] for i in self.held) + low
        outcome = None
        for share in (self.kit.policy.recent, 0.0, None):  # None: even the newest results may be cut
            recent = set() if share is None else self._recent(int(share * low))
            try:
                outcome = self._select(recent, min(limit, room) - self._reserve)
            except BudgetTooSmall as error:
                if share is None and error.needed <= limit:
                    outcome = self._select(recent, min(limit, error.needed + low // 4))
                elif share is None:
                    raise
                elif share == 0.0 and error.needed + low // 4 <= limit:  # the open round alone is larger
                    outcome = self._select(recent, error.needed + low // 4)
            if outcome is not None and outcome.tokens <= limit:
                if outcome.tokens > GAIN * before:
                    return None
                return self._checked(self._summarized(outcome))
        needed = limit + 1 if outcome is None else outcome.tokens
        raise BudgetTooSmall(limit, needed, "system prompt, task, open round and the index of what has gone")

    @property
    def _reserve(self) -> int:
        """Tokens for a summary."""
        return max(1, int(SUMMARY_SHARE * self.kit.policy.low)) if self.kit.policy.summarizer is not None else 0

    def _summarized(self, outcome: Outcome) -> Outcome:
        """With a summary of the rounds that leave behind the index, if there is something to write and to write on."""
        summarizer = self.kit.policy.summarizer
        at = next((i for i, entry in enumerate(outcome.entries) if entry.index), None)
        if summarizer is None or at is None or not (outcome.gone or self.summary):
            return outcome
        summary = Summary.from_json(self.summary) if self.summary else None
        if outcome.gone:
            passages = [passage for gone in outcome.gone for passage in gone.passages]
            summary = summarizer.update(summary, passages, self._reserve, self.kit.counter)
            outcome.warnings += summary.warnings
        assert summary is not None
        outcome.summary = summary.to_json()
        outcome.index = replace(outcome.index, summary=summary.text(self._reserve, self.kit.counter))
        entry = outcome.entries[at]
        ((path, text),) = entry.edits.items()
        more = self.kit.counter.count(outcome.index.text) - self.kit.counter.count(text)
        outcome.entries[at] = replace(entry, edits={path: outcome.index.text}, tokens=entry.tokens + more)
        outcome.tokens += more
        return outcome

    def _checked(self, outcome: Outcome) -> Outcome:
        """CompressorError if something is missing that had to stay: held messages and users' constraints."""
        now = {entry.at: entry for entry in outcome.entries}
        for i, old in enumerate(self.entries):
            new = now.get(old.at)
            if i in self.held and (new is None or new.edits != old.edits):
                raise CompressorError(f"a compaction lost message {old.at}, which is pinned: please report this")
            for slot in self.raw[i].slots:
                if slot.kind != "user" or i in self.held:
                    continue
                left = "" if new is None else new.edits.get(slot.path, slot.text)
                if not all(slot.text[a:b] in left for a, b in find_constraints(slot.text)):
                    raise CompressorError(f"a compaction lost a constraint of message {old.at}: please report this")
        return outcome

    def _total(self, entries: Iterable[Entry]) -> int:
        head = self._head_tokens()
        return head + sum(entry.tokens for entry in entries)

    def _head_tokens(self) -> int:
        context = self.kit.read(self.head)
        return self.kit.overhead() + sum(self.kit.tokens(turn, context) for turn in context.turns)

    def _recent(self, room: int) -> set[int]:
        """The newest rounds that fit into `room`, the last one always."""
        out: set[int] = set()
        for group in reversed(self.groups):
            room -= sum(self.entries[i].tokens for i in group)
            if out and room < 0:
                break
            out.update(group)
        return out

    def _select(self, recent: set[int], budget: int) -> Outcome:
        stay = recent | self.held
        older = [g for g in self.groups if not stay.intersection(g) and not any(self.entries[i].index for i in g)]
        gone = self._aged(older)
        warnings: list[str] = []
        for last in (False, True):
            carrier = self._carrier(gone)
            if carrier is None:
                gone = []
            kept = [i for group in self.groups if group not in gone or carrier in group for i in group]
            index = self.index.extended([self._gone(group) for group in gone], self.kit)
            edits, removed, notes = self._flow(kept, stay, carrier, index, budget)
            # Rounds of which nothing is left but marks say less, in more tokens, than a line of the index.
            empty = [g for g in older if g not in gone and self._is_empty(g, edits, removed)]
            if last or not empty:
                break
            gone = [g for g in older if g in gone or g in empty]
        lost = [g for g in older if g not in gone and removed.issuperset(g)]
        if carrier is None and lost:
            warnings.append(f"{len(lost)} rounds were left out whole, and there was no place for a line about them")
        elif lost:
            index = index.extended([self._gone(group) for group in lost], self.kit)
        entries = self._entries(kept, removed, edits, stay, carrier, index)
        left = [self._gone(group) for group in [*gone, *lost]]
        return Outcome(entries, left, index, self._total(entries), warnings=warnings + notes)

    def _aged(self, older: list[list[int]]) -> list[list[int]]:
        """The rounds beyond reach, oldest first."""
        room = REACH * self.kit.policy.low
        for at in range(len(older) - 1, -1, -1):
            room -= sum(self.entries[i].raw for i in older[at])
            if room < 0:
                return [group for group in older[: at + 1] if not self._obliges(group)]
        return []

    def _obliges(self, group: list[int]) -> bool:
        """Whether a user lays something down in a round."""
        return any(s.kind == "user" and find_constraints(s.text) for i in group for s in self.raw[i].slots)

    def _carrier(self, gone: list[list[int]]) -> int | None:
        """The message in which the index stands: where it stood before, or else the oldest tool result that goes, or
        the agent's own words."""
        for i, entry in enumerate(self.entries):
            if entry.index:
                return i
        for role in ("tool", "assistant"):
            for i in (i for group in gone for i in group):
                if self.turns[i].role == role and _slot(self.turns[i]) is not None:
                    return i
        return None

    def _flow(
        self, kept: list[int], stay: set[int], carrier: int | None, index: Index, budget: int
    ) -> tuple[dict[int, Edits], set[int], list[str]]:
        """Selects among what is kept; the edits by entry, the entries left out whole, and warnings."""
        shown = {i: self.views[i] if i in stay else self.originals[i] for i in kept}
        if carrier is not None:
            shown[carrier] = self._with_index(carrier, index)
        lead = len(self.head)
        pinned = {lead + k for k, i in enumerate(kept) if i in stay or i == carrier}
        messages = [*self.head, *(shown[i] for i in kept)]
        flow = self.kit.flow(messages, "compact", frozenset(pinned), self.regrets)
        flow.run(self.kit.counter.context(flow.context), budget)
        edits: dict[int, Edits] = {}
        for (at, path), text in flow.edits.items():
            edits.setdefault(kept[at - lead], {})[path] = text
        removed = {kept[at - lead] for at in flow.removed}
        return edits, removed, [w for w in flow.warnings if "left out whole" not in w]

    def _with_index(self, carrier: int, index: Index) -> Any:
        slot = _slot(self.turns[carrier])
        assert slot is not None
        return self.kit.render([*self.head, *self.originals], {len(self.head) + carrier: {slot.path: index.text}})[
            len(self.head) + carrier
        ]

    def _is_empty(self, group: list[int], edits: dict[int, Edits], removed: set[int]) -> bool:
        if removed.issuperset(group):
            return True
        turns = [self.raw[i] for i in group]
        if any(turn.role in EVER for turn in turns):
            return False
        return all(
            edits.get(turn.index, {}).get(slot.path) == mark(ref_of(slot.text))
            or (slot.kind != "tool_result" and self.kit.counter.count(slot.text) <= SMALL)
            for turn in turns
            for slot in turn.slots
            if slot.kind in ("tool_result", "assistant", "thinking")
        )

    def _gone(self, group: list[int]) -> Gone:
        return Gone.of([self.raw[i] for i in group], [self.originals[i] for i in group])

    def _entries(
        self,
        kept: list[int],
        removed: set[int],
        edits: dict[int, Edits],
        stay: set[int],
        carrier: int | None,
        index: Index,
    ) -> list[Entry]:
        out = []
        for i in kept:
            if i in removed:
                continue
            old = self.entries[i]
            now = dict(old.edits) if i in stay else edits.get(i, {})
            if i == carrier:
                slot = _slot(self.turns[i])
                assert slot is not None
                now = {slot.path: index.text}
            tokens = self.sizes[i] + sum(
                self.kit.counter.count(now[slot.path]) - self._tokens_of(slot)
                for slot in self.raw[i].slots
                if slot.path in now
            )
            out.append(replace(old, edits=now, tokens=tokens, index=i == carrier))
        if not out:
            raise CompressorError("a compaction left nothing")
        return out

    def _tokens_of(self, slot: Slot) -> int:
        return self.kit.counter.count(slot.text) if slot.image is None else self.kit.counter.image(slot.image)


def _slot(turn: Turn) -> Slot | None:
    """The text of a message in which an index can stand."""
    kind = "tool_result" if turn.role == "tool" else "assistant"
    return next((slot for slot in turn.slots if slot.kind == kind and slot.editable), None)
