"""Selects again what a session's history shows: what stays verbatim, what is cut, and what leaves the view.

    pinned      system prompt, first and last user message, what the user pinned, results of tools whose rule says
                `never_compress`: they stay as they are
    recent      the newest tool rounds, at least the open one: they stay as the view shows them
    older       rounds before them: they are selected anew from their originals, with the task as the query. The newest
                of the users' older words stay as they are, of the others only the constraints
    evicted     rounds that are older still, or of which nothing was kept: a line in the index, the rest behind its ref

A history is cut between rounds only, so calls keep their results and signed reasoning stays with its call. This module
decides how to compact, not when; it changes neither the state nor the store's journal.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from compressor.context.model import Turn
from compressor.context.refs import compute_ref, format_placeholder
from compressor.context.tool_rounds import group_tool_rounds
from compressor.errors import BudgetTooSmallError, CompressorError
from compressor.pipeline.working_context import MIN_BLOCK_TOKENS
from compressor.sessions.evicted_rounds import EvictedRound, EvictionIndex
from compressor.sessions.index_placement import adjacent_texts, find_index_host, index_edits, index_slot
from compressor.sessions.kept_constraints import CONSTRAINTS_FRACTION, USER_TEXT_FRACTION, ConstraintSet
from compressor.sessions.runtime import Edits, SessionRuntime
from compressor.sessions.state import MessageRecord
from compressor.sessions.summaries import Summary

MAX_RESELECT_RATIO = 4.0  # times the target: rounds older than these tokens are evicted without another look
MAX_REMAINING_FRACTION = 0.9  # a compaction that leaves more of the tokens is not worth a new prefix
SUMMARY_FRACTION = 0.15  # of the target, where there is a summarizer
NEVER_HOST_ROLES = ("system", "user")  # roles whose messages never hold an index


@dataclass
class CompactionResult:
    """What a compaction decided.

    Attributes:
        records: Records of the messages that stay, with their new edits.
        evicted: The rounds that leave the view.
        index: The index of all rounds that have left it.
        tokens: Tokens of the view after the compaction.
        originals: Texts that still have to be stored, by ref.
        summary: The summary of the evicted rounds as JSON data, or None.
        warnings: What the user should know.
    """

    records: list[MessageRecord]
    evicted: list[EvictedRound]
    index: EvictionIndex
    tokens: int
    originals: dict[str, str] = field(default_factory=dict)
    summary: dict[str, Any] | None = None
    warnings: list[str] = field(default_factory=list)


@dataclass
class Compaction:
    """One compaction of a history. Positions in it are those in `records`.

    Attributes:
        runtime: The engine, counter and policy.
        head: The system messages in front.
        records: The records of the live messages.
        originals: The messages themselves.
        views: The messages as the view shows them.
        index: The index of the rounds that have left the view before.
        expansions: What the agent has expanded.
        summary: The summary of these rounds as JSON data, or None.
    """

    runtime: SessionRuntime
    head: Sequence[Any]
    records: Sequence[MessageRecord]
    originals: Sequence[Any]
    views: Sequence[Any]
    index: EvictionIndex
    expansions: Sequence[str]
    summary: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        self.turns, _ = self._parse(self.views)
        self.original_turns, self.original_tokens = self._parse(self.originals)
        users = [turn.index for turn in self.turns if turn.role == "user"]
        self.pinned_indices = {i for i, record in enumerate(self.records) if record.pinned} | {*users[:1], *users[-1:]}
        self.pinned_indices |= {
            turn.index for turn in self.turns if turn.role == "system" or self._is_never_compressed(turn)
        }
        self.groups = group_tool_rounds(self.turns)
        self.constraints = ConstraintSet.from_turns(
            self.original_turns,
            self.pinned_indices,
            self.runtime.counter.count,
            int(CONSTRAINTS_FRACTION * self.runtime.policy.compaction_target_tokens),
        )

    def _parse(self, messages: Sequence[Any]) -> tuple[list[Turn], list[int]]:
        """Returns the turns of the messages after `head`, and their tokens."""
        lead = len(self.head)
        _, context = self.runtime.parse([*self.head, *messages])
        turns = [replace(turn, index=turn.index - lead) for turn in context.turns[lead:]]
        return turns, [self.runtime.tokens(turn, context) for turn in turns]

    def run(self, target: int, limit: int) -> CompactionResult | None:
        """Runs the compaction.

        Args:
            target: The tokens to aim at, besides what is pinned.
            limit: The most tokens that the view may have.

        Returns:
            The result, or None if it saves too little.

        Raises:
            BudgetTooSmallError: What must stay is larger than `limit`.
        """
        before = self._total_tokens(self.records)
        goal = self._total_tokens(self.records[i] for i in self.pinned_indices) + target
        needed = limit + 1
        for fraction in (self.runtime.policy.recent_fraction, 0.0, None):  # None: even the newest results may be cut
            recent = set() if fraction is None else self._recent_indices(int(fraction * target))
            result, needed = self._try_select(recent, min(limit, goal) - self._summary_tokens)
            more = needed + target // 4  # for an open round that alone is larger than the target
            for wider in {0.0: [more], None: [min(limit, more), limit]}.get(fraction, []):
                if result is None and needed <= wider <= limit:
                    result, needed = self._try_select(recent, wider)
            if result is not None and result.tokens <= limit:
                if result.tokens > MAX_REMAINING_FRACTION * before and before <= limit:
                    return None
                if self.constraints.dropped_count:
                    result.warnings.append(
                        f"{self.constraints.dropped_count} of the users' old constraints were removed because they "
                        "exceed the tokens reserved for constraints; pin the messages that must stay"
                    )
                return self._verified(self._with_summary(result, limit))
        what = "the system prompt, the task, the open tool round, pinned messages and the index of evicted rounds"
        raise BudgetTooSmallError(limit, max(needed, limit + 1), what)

    def _try_select(self, recent: set[int], budget: int) -> tuple[CompactionResult | None, int]:
        """Returns the result and its tokens, or None and the tokens that it would need."""
        try:
            result = self._select(recent, budget)
        except BudgetTooSmallError as error:
            return None, error.needed
        return result, result.tokens

    @property
    def _summary_tokens(self) -> int:
        """Returns the tokens reserved for a summary."""
        if self.runtime.policy.summarizer is None:
            return 0
        return max(1, int(SUMMARY_FRACTION * self.runtime.policy.compaction_target_tokens))

    def _with_summary(self, result: CompactionResult, limit: int) -> CompactionResult:
        """Adds a summary of the evicted rounds behind the index, if there are any and the budget allows it."""
        plain = replace(result, records=list(result.records), summary=self.summary)
        if result.tokens + self._summary_tokens > limit:
            return plain
        summarizer = self.runtime.policy.summarizer
        position = next((i for i, record in enumerate(result.records) if record.holds_index), None)
        if summarizer is None or position is None or not (result.evicted or self.summary):
            return result
        summary = Summary.from_json(self.summary) if self.summary else None
        if result.evicted:
            passages = [passage for evicted in result.evicted for passage in evicted.passages]
            summary = summarizer.update(summary, passages, self._summary_tokens, self.runtime.counter)
            result.warnings += summary.warnings
        assert summary is not None
        result.summary = summary.to_json()
        result.index = replace(result.index, summary=summary.text(self._summary_tokens, self.runtime.counter))
        record = result.records[position]
        slot = index_slot(self.original_turns[next(i for i, r in enumerate(self.records) if r.index == record.index)])
        assert slot is not None
        more = self.runtime.counter.count(result.index.text) - self.runtime.counter.count(record.edits[slot.path])
        edits = {**record.edits, slot.path: result.index.text}
        result.records[position] = replace(record, edits=edits, tokens=record.tokens + more)
        result.tokens += more
        return result if result.tokens <= limit else plain

    def _verified(self, result: CompactionResult) -> CompactionResult:
        """Raises CompressorError if a pinned message or a user's constraint is missing in the result."""
        now = {record.index: record for record in result.records}
        for i, old in enumerate(self.records):
            new = now.get(old.index)
            if i in self.pinned_indices and (new is None or new.edits != old.edits):
                raise CompressorError(
                    f"a compaction changed message {old.index}, which is pinned. This is a bug: please report it"
                )
            for slot in self.original_turns[i].slots:
                if slot.kind != "user" or i in self.pinned_indices:
                    continue
                left = "" if new is None else new.edits.get(slot.path, slot.text)
                if not all(sentence in left for sentence in self.constraints.sentences.get(i, ())):
                    raise CompressorError(
                        f"a compaction lost a constraint in message {old.index}. This is a bug: please report it"
                    )
        return result

    def _total_tokens(self, records: Iterable[MessageRecord]) -> int:
        return self.runtime.head_tokens(self.head) + sum(record.tokens for record in records)

    def _is_never_compressed(self, turn: Turn) -> bool:
        rule = self.runtime.policy.rule_for
        return any(slot.kind == "tool_result" and rule(slot.name).never_compress for slot in turn.slots)

    def _recent_indices(self, available_tokens: int) -> set[int]:
        """Returns the positions of the newest rounds that fit, and always those of the last one."""
        out: set[int] = set()
        for group in reversed(self.groups):
            available_tokens -= sum(self.records[i].tokens for i in group)
            if out and available_tokens < 0:
                break
            out.update(group)
        return out

    def _select(self, recent: set[int], budget: int) -> CompactionResult:
        reduced, originals = self._reduce_to_constraints(recent)
        stay = recent | self.pinned_indices | reduced.keys()
        # A pinned message without any text (an empty result, a recording) can only be kept with its whole round.
        stay |= {
            i
            for group in self.groups
            for i in group
            if any(not self.original_turns[k].slots for k in self.pinned_indices & set(group))
        }
        older = [g for g in self.groups if not stay.intersection(g) and not any(self.records[i].holds_index for i in g)]
        newest = self.groups[-1:]  # what the agent has just asked for may be cut, but is never evicted
        evicted = self._demote([g for g in older if g not in newest], recent)
        warnings: list[str] = []
        for is_last in (False, True):
            host = find_index_host(self.records, self.original_turns, evicted)
            if host is None:
                evicted = []
            kept = [i for group in self.groups if group not in evicted or host in group for i in group]
            index = self.index.with_rounds([self._evicted_round(group) for group in evicted], self.runtime)
            shown = {i: self.views[i] if i in stay else self.originals[i] for i in kept}
            shown |= self._render({**reduced, **({host: self._index_edits(host, index)} if host is not None else {})})
            edits, removed, notes = self._select_text(shown, {*stay, host}, budget)
            # A round of which only placeholders are left says less, in more tokens, than a line of the index.
            empty = [g for g in older if g not in [*evicted, *newest] and self._is_empty(g, edits, removed)]
            if is_last or not empty:
                break
            evicted = [g for g in older if g in evicted or g in empty]
        lost = [g for g in older if g not in evicted and removed.issuperset(g)]
        if host is None and lost:
            warnings.append(
                f"{len(lost)} tool rounds were left out whole, and no message could hold an index line for them"
            )
        elif lost:
            index = index.with_rounds([self._evicted_round(group) for group in lost], self.runtime)
        edits |= {i: dict(self.records[i].edits) for i in stay} | reduced
        if host is not None:
            edits[host] = self._index_edits(host, index)
            adjacent = adjacent_texts(self.runtime, self.original_turns[host], self.originals[host])
            originals |= {ref: text for _, ref, text in adjacent}
        records = self._new_records([i for i in kept if i not in removed], edits, host)
        left = [self._evicted_round(group) for group in [*evicted, *lost]]
        return CompactionResult(records, left, index, self._total_tokens(records), originals, warnings=warnings + notes)

    def _reduce_to_constraints(self, recent: set[int]) -> tuple[dict[int, Edits], dict[str, str]]:
        """Returns edits that leave only the constraints of users' older messages, and the originals by ref."""
        edits: dict[int, Edits] = {}
        originals: dict[str, str] = {}
        for i in self._old_user_text(recent):
            if i in self.constraints.sentences:
                edits[i], texts = self.constraints.reduce_to_constraints(self.original_turns[i])
                originals |= texts
        return edits, originals

    def _old_user_text(self, recent: set[int]) -> list[int]:
        """Returns the positions of user messages that are older than those which may stay as they are."""
        available_tokens = int(USER_TEXT_FRACTION * self.runtime.policy.compaction_target_tokens)
        out = []
        for turn in reversed(self.original_turns):
            if turn.role == "user" and turn.index not in recent | self.pinned_indices:
                available_tokens -= self.original_tokens[turn.index]
                if available_tokens < 0:
                    out.append(turn.index)
        return out

    def _demote(self, older: list[list[int]], recent: set[int]) -> list[list[int]]:
        """Returns the rounds to evict without another look, oldest first.

        These are the rounds that are too old to be selected again, and users' old messages without a constraint.
        """
        available_tokens, too_old = MAX_RESELECT_RATIO * self.runtime.policy.compaction_target_tokens, 0
        for position in range(len(older) - 1, -1, -1):
            available_tokens -= sum(self.records[i].raw_tokens for i in older[position])
            if available_tokens < 0:
                too_old = position + 1
                break
        user_text = set(self._old_user_text(recent))
        return [
            group
            for position, group in enumerate(older)
            if (position < too_old or user_text.issuperset(group)) and not self._has_constraint(group)
        ]

    def _has_constraint(self, group: list[int]) -> bool:
        """Returns whether a user states a constraint in a round."""
        return any(i in self.constraints.sentences for i in group)

    def _index_edits(self, host: int, index: EvictionIndex) -> Edits:
        return index_edits(self.runtime, self.original_turns[host], self.originals[host], index)

    def _select_text(
        self, shown: dict[int, Any], pinned: set[int | None], budget: int
    ) -> tuple[dict[int, Edits], set[int], list[str]]:
        """Selects among the shown messages.

        Returns:
            The edits by position, the positions of messages that were removed as a whole, and warnings.
        """
        lead, kept = len(self.head), list(shown)
        compression = self.runtime.prepare_compression(
            [*self.head, *shown.values()],
            "compact",
            frozenset(lead + k for k, i in enumerate(kept) if i in pinned),
            self.expansions,
            lambda message, text: self.constraints.find_spans(kept[message - lead], text),
        )
        compression.run(self.runtime.counter.count_context(compression.context), budget)
        edits: dict[int, Edits] = {}
        for (message, path), text in compression.edits.items():
            edits.setdefault(kept[message - lead], {})[path] = text
        removed = {kept[message - lead] for message in compression.removed}
        removed -= {i for group in self.groups if self.pinned_indices.intersection(group) for i in group}
        return edits, removed, [w for w in compression.warnings if "left out whole" not in w]

    def _render(self, edits: dict[int, Edits]) -> dict[int, Any]:
        """Returns the originals with edits, by position."""
        lead = len(self.head)
        messages = self.runtime.render([*self.head, *self.originals], {lead + i: own for i, own in edits.items()})
        return {i: messages[lead + i] for i in edits}

    def _is_empty(self, group: list[int], edits: dict[int, Edits], removed: set[int]) -> bool:
        """Returns whether a round says nothing any more: its texts are placeholders or very short."""
        if removed.issuperset(group):
            return True
        turns = [self.original_turns[i] for i in group]
        if any(turn.role in NEVER_HOST_ROLES for turn in turns):
            return False
        return all(
            edits.get(turn.index, {}).get(slot.path) == format_placeholder(compute_ref(slot.text))
            or (slot.kind != "tool_result" and self.runtime.counter.count(slot.text) <= MIN_BLOCK_TOKENS)
            for turn in turns
            for slot in turn.slots
            if slot.kind in ("tool_result", "assistant", "thinking")
        )

    def _evicted_round(self, group: list[int]) -> EvictedRound:
        indices = [self.records[i].index for i in group]
        return EvictedRound.from_turns(
            [self.original_turns[i] for i in group], [self.originals[i] for i in group], indices
        )

    def _new_records(self, kept: list[int], edits: dict[int, Edits], host: int | None) -> list[MessageRecord]:
        out = []
        for i in kept:
            own = edits.get(i, {})
            tokens = self.runtime.edited_tokens(self.original_tokens[i], self.original_turns[i], own)
            out.append(replace(self.records[i], edits=own, tokens=tokens, holds_index=i == host))
        return out
