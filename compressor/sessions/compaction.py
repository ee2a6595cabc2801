"""Re-selects a session's history down to a low-water mark: what stays verbatim, what is cut, what leaves the view.

    pinned      system prompt, first and last user message, what the user pinned, results of tools that are kept: as
                they are
    recent      the newest rounds, at least the open one: as they stand in the view
    older       rounds before them: selected anew from their originals, with the task as the query; of users' words
                only the newest as they are, of those before what they lay down
    gone        rounds older than that, or of which nothing was kept: a line in the index, the rest behind its ref

History is cut between rounds only, so calls keep their results and signed thinking stays with its call. The index
stands in the oldest tool result that has gone (or, where no tool was called, in the agent's own words), never in a user
or system message. Decides how, not when; touches neither the state nor the store's journal.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from compressor.context.formats import serialization
from compressor.context.model import Path, TextSlot, Turn
from compressor.context.refs import compute_ref, format_placeholder
from compressor.context.tool_rounds import group_tool_rounds
from compressor.errors import BudgetTooSmallError, CompressorError
from compressor.pipeline.working_context import MIN_BLOCK_TOKENS
from compressor.sessions.archive import EvictedRound, EvictionIndex
from compressor.sessions.kept_constraints import RULES_SHARE, WORDS_SHARE, ConstraintSet
from compressor.sessions.runtime import Edits, SessionRuntime
from compressor.sessions.state import MessageRecord
from compressor.sessions.summaries import Summary

MAX_RESELECT_RATIO = 4.0  # times the low-water mark: originals older than these go without being looked at again
MIN_SAVING = 0.9  # a compaction that leaves more than this share of the tokens is not worth a new prefix
SUMMARY_SHARE = 0.15  # of the low-water mark, where there is a summariser
NEVER_HOST_ROLES = ("system", "user")  # roles whose messages an index never stands in


@dataclass
class CompactionResult:
    """The entries that stay, with their new edits; the rounds that left; the index of all that have; and what of the
    originals still has to be stored, by ref."""

    entries: list[MessageRecord]
    gone: list[EvictedRound]
    index: EvictionIndex
    tokens: int
    originals: dict[str, str] = field(default_factory=dict)
    summary: dict[str, Any] | None = None
    warnings: list[str] = field(default_factory=list)


@dataclass
class Compaction:
    """One compaction of `entries`, whose originals are `originals` (after `head`, the system prompt before them) and
    which stand in the view as `views`. `index` and `summary` are of what has gone before."""

    kit: SessionRuntime
    head: Sequence[Any]
    entries: Sequence[MessageRecord]
    originals: Sequence[Any]
    views: Sequence[Any]
    index: EvictionIndex
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
        self.held |= {turn.index for turn in self.turns if turn.role == "system" or self._is_kept(turn)}
        self.groups = group_tool_rounds(self.turns)
        self.rules = ConstraintSet.from_turns(
            self.raw, self.held, self.kit.counter.count, int(RULES_SHARE * self.kit.policy.compaction_target_tokens)
        )

    def run(self, target: int, limit: int) -> CompactionResult | None:
        """The outcome: about `low` tokens beyond what is held, at most `limit` in all. None if that saves too little.
        BudgetTooSmallError if what must stay is larger than `limit`."""
        before = self._total(self.entries)
        room = self._total(self.entries[i] for i in self.held) + target
        needed = limit + 1
        for share in (self.kit.policy.recent_fraction, 0.0, None):  # None: even the newest results may be cut
            recent = set() if share is None else self._recent(int(share * target))
            outcome, needed = self._tried(recent, min(limit, room) - self._reserve)
            more = needed + target // 4  # where the open round alone is larger
            for wider in {0.0: [more], None: [min(limit, more), limit]}.get(share, []):
                if outcome is None and needed <= wider <= limit:
                    outcome, needed = self._tried(recent, wider)
            if outcome is not None and outcome.tokens <= limit:
                if outcome.tokens > MIN_SAVING * before and before <= limit:
                    return None
                if self.rules.dropped_count:
                    outcome.warnings.append(
                        f"{self.rules.dropped_count} old constraints of users found no room; pin what must hold"
                    )
                return self._checked(self._summarized(outcome, limit))
        what = "system prompt, task, open round, what is pinned and the index of what has gone"
        raise BudgetTooSmallError(limit, max(needed, limit + 1), what)

    def _tried(self, recent: set[int], budget: int) -> tuple[CompactionResult | None, int]:
        """The outcome and its tokens, or None and the tokens that it needs."""
        try:
            outcome = self._select(recent, budget)
        except BudgetTooSmallError as error:
            return None, error.needed
        return outcome, outcome.tokens

    @property
    def _reserve(self) -> int:
        """Tokens for a summary."""
        return (
            max(1, int(SUMMARY_SHARE * self.kit.policy.compaction_target_tokens))
            if self.kit.policy.summarizer is not None
            else 0
        )

    def _summarized(self, outcome: CompactionResult, limit: int) -> CompactionResult:
        """With a summary of the rounds that leave behind the index, if there is something to write and to write on, and
        room for it."""
        plain = replace(outcome, entries=list(outcome.entries), summary=self.summary)
        if outcome.tokens + self._reserve > limit:
            return plain
        summarizer = self.kit.policy.summarizer
        at = next((i for i, entry in enumerate(outcome.entries) if entry.holds_index), None)
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
        slot = _slot(self.raw[next(i for i, old in enumerate(self.entries) if old.index == entry.index)])
        assert slot is not None
        more = self.kit.counter.count(outcome.index.text) - self.kit.counter.count(entry.edits[slot.path])
        edits = {**entry.edits, slot.path: outcome.index.text}
        outcome.entries[at] = replace(entry, edits=edits, tokens=entry.tokens + more)
        outcome.tokens += more
        return outcome if outcome.tokens <= limit else plain

    def _checked(self, outcome: CompactionResult) -> CompactionResult:
        """CompressorError if something is missing that had to stay: held messages and users' constraints."""
        now = {entry.index: entry for entry in outcome.entries}
        for i, old in enumerate(self.entries):
            new = now.get(old.index)
            if i in self.held and (new is None or new.edits != old.edits):
                raise CompressorError(f"a compaction lost message {old.index}, which is pinned: please report this")
            for slot in self.raw[i].slots:
                if slot.kind != "user" or i in self.held:
                    continue
                left = "" if new is None else new.edits.get(slot.path, slot.text)
                if not all(sentence in left for sentence in self.rules.sentences.get(i, ())):
                    raise CompressorError(f"a compaction lost a constraint of message {old.index}: please report this")
        return outcome

    def _total(self, entries: Iterable[MessageRecord]) -> int:
        return self.kit.head_tokens(self.head) + sum(entry.tokens for entry in entries)

    def _is_kept(self, turn: Turn) -> bool:
        """Whether a rule keeps a tool's results as they are."""
        rule = self.kit.policy.rule_for
        return any(slot.kind == "tool_result" and rule(slot.name).never_compress for slot in turn.slots)

    def _recent(self, room: int) -> set[int]:
        """The newest rounds that fit into `room`, the last one always."""
        out: set[int] = set()
        for group in reversed(self.groups):
            room -= sum(self.entries[i].tokens for i in group)
            if out and room < 0:
                break
            out.update(group)
        return out

    def _select(self, recent: set[int], budget: int) -> CompactionResult:
        worn, originals = self._reduce_to_constraints(recent)
        stay = recent | self.held | worn.keys()
        # What has no text at all (an empty result, a recording) can be held only by its round.
        stay |= {
            i for group in self.groups for i in group if any(not self.raw[k].slots for k in self.held & set(group))
        }
        older = [g for g in self.groups if not stay.intersection(g) and not any(self.entries[i].holds_index for i in g)]
        newest = self.groups[-1:]  # what the agent has just asked for may be cut, but never goes
        gone = self._demote([g for g in older if g not in newest], recent)
        warnings: list[str] = []
        for last in (False, True):
            carrier = self._index_host(gone)
            if carrier is None:
                gone = []
            kept = [i for group in self.groups if group not in gone or carrier in group for i in group]
            index = self.index.extended([self._gone(group) for group in gone], self.kit)
            shown = {i: self.views[i] if i in stay else self.originals[i] for i in kept}
            shown |= self._rendered(
                {**worn, **({carrier: self._index_edit(carrier, index)} if carrier is not None else {})}
            )
            edits, removed, notes = self._flow(shown, {*stay, carrier}, budget)
            # Rounds of which nothing is left but marks say less, in more tokens, than a line of the index.
            empty = [g for g in older if g not in [*gone, *newest] and self._is_empty(g, edits, removed)]
            if last or not empty:
                break
            gone = [g for g in older if g in gone or g in empty]
        lost = [g for g in older if g not in gone and removed.issuperset(g)]
        if carrier is None and lost:
            warnings.append(f"{len(lost)} rounds were left out whole, and there was no place for a line about them")
        elif lost:
            index = index.extended([self._gone(group) for group in lost], self.kit)
        edits |= {i: dict(self.entries[i].edits) for i in stay} | worn
        if carrier is not None:
            edits[carrier] = self._index_edit(carrier, index)
            originals |= {ref: text for _, ref, text in self._adjacent_text(carrier)}
        entries = self._entries([i for i in kept if i not in removed], edits, carrier)
        left = [self._gone(group) for group in [*gone, *lost]]
        return CompactionResult(entries, left, index, self._total(entries), originals, warnings=warnings + notes)

    def _reduce_to_constraints(self, recent: set[int]) -> tuple[dict[int, Edits], dict[str, str]]:
        """Users' older words that lay something down, worn to that; and their originals by ref."""
        edits: dict[int, Edits] = {}
        originals: dict[str, str] = {}
        for i in self._old_user_text(recent):
            if i in self.rules.sentences:
                edits[i], texts = self.rules.reduce_to_constraints(self.raw[i])
                originals |= texts
        return edits, originals

    def _old_user_text(self, recent: set[int]) -> list[int]:
        """User messages beyond the newest that have room as they are."""
        room = int(WORDS_SHARE * self.kit.policy.compaction_target_tokens)
        out = []
        for turn in reversed(self.raw):
            if turn.role == "user" and turn.index not in recent | self.held:
                room -= self.sizes[turn.index]
                if room < 0:
                    out.append(turn.index)
        return out

    def _demote(self, older: list[list[int]], recent: set[int]) -> list[list[int]]:
        """The rounds beyond reach and users' old words that lay nothing down, oldest first."""
        room, reached = MAX_RESELECT_RATIO * self.kit.policy.compaction_target_tokens, 0
        for at in range(len(older) - 1, -1, -1):
            room -= sum(self.entries[i].raw_tokens for i in older[at])
            if room < 0:
                reached = at + 1
                break
        words = set(self._old_user_text(recent))
        return [
            g for at, g in enumerate(older) if (at < reached or words.issuperset(g)) and not self._has_constraint(g)
        ]

    def _has_constraint(self, group: list[int]) -> bool:
        """Whether a user lays something down in a round."""
        return any(i in self.rules.sentences for i in group)

    def _index_host(self, gone: list[list[int]]) -> int | None:
        """The message in which the index stands: where it stood before, or else the oldest tool result that goes, or
        the agent's own words."""
        for i, entry in enumerate(self.entries):
            if entry.holds_index:
                return i
        for role in ("tool", "assistant"):
            for i in (i for group in gone for i in group):
                # Of the original: in the view a text may stand where there are only images.
                if self.raw[i].role == role and _slot(self.raw[i]) is not None:
                    return i
        return None

    def _flow(
        self, shown: dict[int, Any], pinned: set[int | None], budget: int
    ) -> tuple[dict[int, Edits], set[int], list[str]]:
        """Selects among what is shown; the edits by entry, the entries left out whole, and warnings."""
        lead, kept = len(self.head), list(shown)
        flow = self.kit.prepare_compression(
            [*self.head, *shown.values()],
            "compact",
            frozenset(lead + k for k, i in enumerate(kept) if i in pinned),
            self.regrets,
            lambda message, text: self.rules.find(kept[message - lead], text),
        )
        flow.run(self.kit.counter.count_context(flow.context), budget)
        edits: dict[int, Edits] = {}
        for (at, path), text in flow.edits.items():
            edits.setdefault(kept[at - lead], {})[path] = text
        removed = {kept[at - lead] for at in flow.removed}
        removed -= {i for group in self.groups if self.held.intersection(group) for i in group}
        return edits, removed, [w for w in flow.warnings if "left out whole" not in w]

    def _rendered(self, edits: dict[int, Edits]) -> dict[int, Any]:
        """Originals with edits, by entry."""
        lead = len(self.head)
        messages = self.kit.render([*self.head, *self.originals], {lead + i: own for i, own in edits.items()})
        return {i: messages[lead + i] for i in edits}

    def _index_edit(self, carrier: int, index: EvictionIndex) -> Edits:
        slot = _slot(self.raw[carrier])
        assert slot is not None
        return {slot.path: index.text} | {
            path: format_placeholder(ref) for path, ref, _ in self._adjacent_text(carrier)
        }

    def _adjacent_text(self, carrier: int) -> list[tuple[Path, str, str]]:
        """Path, ref and original of what else the message held in which the index stands (Anthropic's results of one
        round share a message): all of it has gone."""
        here, out = _slot(self.raw[carrier]), []
        for slot in self.raw[carrier].slots:
            if here is not None and slot.path != here.path and slot.kind in (here.kind, "image") and slot.editable:
                text = slot.text or json.dumps(
                    serialization.serialize_message(self.originals[carrier]), ensure_ascii=False
                )
                if self.kit.slot_tokens(slot) > MIN_BLOCK_TOKENS:
                    out.append((slot.path, compute_ref(text), text))
        return out

    def _is_empty(self, group: list[int], edits: dict[int, Edits], removed: set[int]) -> bool:
        if removed.issuperset(group):
            return True
        turns = [self.raw[i] for i in group]
        if any(turn.role in NEVER_HOST_ROLES for turn in turns):
            return False
        return all(
            edits.get(turn.index, {}).get(slot.path) == format_placeholder(compute_ref(slot.text))
            or (slot.kind != "tool_result" and self.kit.counter.count(slot.text) <= MIN_BLOCK_TOKENS)
            for turn in turns
            for slot in turn.slots
            if slot.kind in ("tool_result", "assistant", "thinking")
        )

    def _gone(self, group: list[int]) -> EvictedRound:
        numbers = [self.entries[i].index for i in group]
        return EvictedRound.of([self.raw[i] for i in group], [self.originals[i] for i in group], numbers)

    def _entries(self, kept: list[int], edits: dict[int, Edits], carrier: int | None) -> list[MessageRecord]:
        out = []
        for i in kept:
            now = edits.get(i, {})
            tokens = self.kit.edited_tokens(self.sizes[i], self.raw[i], now)
            out.append(replace(self.entries[i], edits=now, tokens=tokens, holds_index=i == carrier))
        return out


def _slot(turn: Turn) -> TextSlot | None:
    """The text of a message in which an index can stand."""
    kind = "tool_result" if turn.role == "tool" else "assistant"
    return next((slot for slot in turn.slots if slot.kind == kind and slot.editable), None)
