"""Selects again what a session's history shows: what stays verbatim, what is cut, and what leaves the view.

    layers      what must stay, see `layers`: pinned messages, users' words, the newest states
    recent      the newest tool rounds, at least the open one: they stay as the view shows them
    older       rounds before them: they are selected anew from their originals, with the task as the query
    evicted     outdated rounds, and what is left: a line in the index with the round's best line, the rest behind its
                ref. What is not resolved has a line in the index wherever it was said

What counts is what a round costs in the view, not how large its original is. A history is cut between rounds only, so
calls keep their results and signed reasoning stays with its call. This module decides how to compact, not when; it
changes neither the state nor the store's journal.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from compressor.errors import BudgetTooSmallError, CompressorError
from compressor.sessions.compaction_input import CompactionInput
from compressor.sessions.compaction_result import CompactionResult
from compressor.sessions.index_placement import index_slot
from compressor.sessions.index_writer import IndexWriter, KnownRounds
from compressor.sessions.layers import Effort, Layers
from compressor.sessions.round_selection import RoundSelection
from compressor.sessions.summaries import Summary

MIN_FREE_FRACTION = 0.4  # of the room: what is left for the rounds, however much the layers take
MAX_FREE_FRACTION = 0.6  # of what the layers leave of the budget, so that the next rounds have room
FULL_FRACTION = 0.9  # of the budget: the target where even the newest round must be cut
MAX_REMAINING_FRACTION = 0.9  # a compaction that leaves more of the tokens is not worth a new prefix
SUMMARY_FRACTION = 0.15  # of the room, where there is a summarizer


@dataclass
class Compaction:
    """One compaction.

    Attributes:
        given: The history.
        layers: What must stay, with the effort that was tried last.
    """

    given: CompactionInput
    layers: Layers = field(init=False)

    def __post_init__(self) -> None:
        self.room = self.free = 1
        self._rounds: KnownRounds = {}

    def run(self, target: int, limit: int) -> CompactionResult | None:
        """Runs the compaction.

        Args:
            target: The tokens to aim at. What must stay may need more.
            limit: The most tokens that the view may have.

        Returns:
            The result, or None if it saves too little.

        Raises:
            BudgetTooSmallError: What must stay is larger than `limit`.
        """
        before = self.given.total_tokens(self.given.records)
        self.room = max(1, min(target, limit) - self.given.fixed)
        needed = limit + 1
        for effort in Effort:
            result, needed = self._try_effort(effort, min(limit, target), limit)
            if result is None or result.tokens > limit:
                continue
            if result.tokens > MAX_REMAINING_FRACTION * before and before <= limit:
                return None
            if dropped := self.layers.words.dropped_rules:
                result.warnings.append(
                    f"{dropped} of the users' old constraints were removed because they exceed the tokens reserved for "
                    "constraints; pin the messages that must stay"
                )
            result.states = [(self.given.records[v.turn].index, v) for v in self.given.versions.newest]
            return self._verified(self._with_summary(result, limit))
        what = "the system prompt, the task, the open tool round, pinned messages and the index of evicted rounds"
        raise BudgetTooSmallError(limit, max(needed, limit + 1), what)

    def _try_effort(self, effort: Effort, target: int, limit: int) -> tuple[CompactionResult | None, int]:
        """Returns a result and its tokens, or None and the tokens that it would need."""
        if effort not in (Effort.LAST_ROUND, Effort.NO_ROUND):  # these keep the layers of the first effort
            self.layers = Layers.build(self.given, self.room, effort)
        base = self.given.fixed + self.given.tokens_of(self.layers.pinned)
        beyond = min(int(MIN_FREE_FRACTION * self.room), int(MAX_FREE_FRACTION * (limit - base)))
        if effort >= Effort.NO_ROUND:  # the newest round alone is too large, and nothing matters as much
            target = max(target, int(FULL_FRACTION * limit))
        goal = min(limit, max(target, base + beyond)) - self._summary_tokens
        self.free = max(1, min(self.room, goal - base))
        keep = self._keep_tokens if effort == Effort.RECENT else 0
        recent = set() if effort >= Effort.NO_ROUND else self._recent_indices(keep)
        result, needed = self._try_select(recent, goal, effort)
        if result is None and goal < needed <= limit:
            result, needed = self._try_select(recent, needed + min(self.room // 4, (limit - needed) // 2), effort)
        if result is None and needed <= limit and effort >= Effort.NO_ROUND:
            result, needed = self._try_select(recent, limit, effort)
        return result, needed

    @property
    def _keep_tokens(self) -> int:
        unit, amount = self.given.runtime.policy.keep
        return int(amount * self.free) if unit == "fraction" else int(amount)

    def _try_select(self, recent: set[int], budget: int, effort: Effort) -> tuple[CompactionResult | None, int]:
        try:
            writer = IndexWriter(self.given, self.room, self.free, self._rounds)
            result = RoundSelection(
                self.given, self.layers, writer, recent, budget, evicts_all=effort == Effort.TIGHTEST
            ).run()
        except BudgetTooSmallError as error:
            return None, error.needed
        return result, result.tokens

    def _recent_indices(self, available_tokens: int) -> set[int]:
        """Returns the positions of the newest rounds that fit, and always those of the last one.

        Users' words among them are not counted: they have a share of their own.
        """
        out: set[int] = set()
        for group in reversed(self.given.groups):
            if not self.layers.pinned.issuperset(group):
                available_tokens -= sum(self.given.records[i].tokens for i in group)
            if out and available_tokens < 0:
                break
            out.update(group)
        return out - self.layers.evictable

    @property
    def _summary_tokens(self) -> int:
        """Returns the tokens reserved for a summary."""
        if self.given.runtime.policy.summarizer is None:
            return 0
        return max(1, int(SUMMARY_FRACTION * self.room))

    def _with_summary(self, result: CompactionResult, limit: int) -> CompactionResult:
        """Adds a summary of the evicted rounds behind the index, if there are any and the budget allows it."""
        plain = replace(result, records=list(result.records), summary=self.given.summary)
        if result.tokens + self._summary_tokens > limit:
            return plain
        summarizer = self.given.runtime.policy.summarizer
        position = next((i for i, record in enumerate(result.records) if record.holds_index), None)
        if summarizer is None or position is None or not (result.evicted or self.given.summary):
            return result
        summary = Summary.from_json(self.given.summary) if self.given.summary else None
        if result.evicted:
            passages = [passage for evicted in result.evicted for passage in evicted.passages]
            summary = summarizer.update(summary, passages, self._summary_tokens, self.given.runtime.counter)
            result.warnings += summary.warnings
        assert summary is not None
        result.summary = summary.to_json()
        result.index = replace(result.index, summary=summary.text(self._summary_tokens, self.given.runtime.counter))
        record = result.records[position]
        slot = index_slot(
            self.given.turns[next(i for i, r in enumerate(self.given.records) if r.index == record.index)]
        )
        assert slot is not None
        more = self.given.runtime.counter.count(result.index.text) - self.given.runtime.counter.count(
            record.edits[slot.path]
        )
        edits = {**record.edits, slot.path: result.index.text}
        result.records[position] = replace(record, edits=edits, tokens=record.tokens + more)
        result.tokens += more
        return result if result.tokens <= limit else plain

    def _verified(self, result: CompactionResult) -> CompactionResult:
        """Raises CompressorError if a pinned message or what a user said is missing in the result."""
        now = {record.index: record for record in result.records}
        for i, old in enumerate(self.given.records):
            new = now.get(old.index)
            if i in self.layers.pinned and (new is None or new.edits != old.edits):
                raise CompressorError(
                    f"a compaction changed message {old.index}, which is pinned. This is a bug: please report it"
                )
            left = (
                ""
                if new is None
                else "\n".join(new.edits.get(s.path, s.text) for s in self.given.turns[i].slots if s.kind == "user")
            )
            if not all(sentence in left for sentence in self.layers.words.sentences.get(i, ())):
                raise CompressorError(
                    f"a compaction lost a constraint in message {old.index}. This is a bug: please report it"
                )
        return result
