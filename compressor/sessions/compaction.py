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

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from compressor.context.model import TextSlot, Turn
from compressor.context.refs import (
    ELLIPSIS,
    compute_ref,
    find_refs,
    format_json_placeholder,
    format_placeholder,
)
from compressor.context.tool_rounds import group_tool_rounds
from compressor.errors import BudgetTooSmallError, CompressorError
from compressor.pipeline.working_context import MIN_BLOCK_TOKENS
from compressor.scoring.bm25 import weighted_terms
from compressor.sessions.best_line import best_line
from compressor.sessions.compaction_result import CompactionResult
from compressor.sessions.evicted_rounds import (
    INDEX_FRACTION,
    MAX_BEST_CHARS,
    OPEN_FRACTION,
    EvictedRound,
    EvictionIndex,
)
from compressor.sessions.index_placement import adjacent_texts, find_index_host, index_edits, index_slot, writes_state
from compressor.sessions.layers import Effort, Layers
from compressor.sessions.open_items import KINDS, OpenItem
from compressor.sessions.runtime import Edits, SessionRuntime
from compressor.sessions.state import MessageRecord
from compressor.sessions.state_calls import read_state
from compressor.sessions.summaries import Summary
from compressor.sessions.user_words import has_user_text, is_instruction, own_words

MAX_CANDIDATE_RATIO = 6.0  # times the room: so many tokens of older rounds' originals are selected from
MAX_ROUND_FRACTION = 0.34  # of the room: a larger round counts as this much, because it will be cut to less
MAX_FLOOR_FRACTION = 0.5  # of what the layers leave, for what cannot be cut in older rounds
MIN_FREE_FRACTION = 0.4  # of the room: what is left for the rounds, however much the layers take
MAX_FREE_FRACTION = 0.6  # of what the layers leave of the budget, so that the next rounds have room
MAX_PART_FRACTION = 0.35  # of what the layers leave, for the lines of rounds, and for what is not resolved
MAX_REMAINING_FRACTION = 0.9  # a compaction that leaves more of the tokens is not worth a new prefix
MIN_USED_FRACTION = 0.9  # of the target: if less is used, more of the older rounds are selected from
MIN_ROUND_TOKENS = 40  # an evicted round of less without a call has no line of its own in the index
PLACEHOLDER_TOKENS = 9
SUMMARY_FRACTION = 0.15  # of the room, where there is a summarizer
MAX_PASSES = 4
MAX_HOST_CALL_TOKENS = 40  # longer arguments of the call whose result holds the index are cut
MAX_MARK_CHARS = 48
MAX_TASK_CHARS = 2_000

_CUT_KINDS = ("tool_result", "assistant", "thinking", "document", "image")


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
        open_items: What is not resolved in the whole history.
    """

    runtime: SessionRuntime
    head: Sequence[Any]
    records: Sequence[MessageRecord]
    originals: Sequence[Any]
    views: Sequence[Any]
    index: EvictionIndex
    expansions: Sequence[str]
    summary: dict[str, Any] | None = None
    open_items: Sequence[OpenItem] = ()
    _rounds: dict[tuple[tuple[int, ...], bool], EvictedRound] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.turns, _ = self._parse(self.views)
        self.original_turns, self.original_tokens = self._parse(self.originals)
        self.groups = group_tool_rounds(self.turns)
        self.fixed = self.runtime.head_tokens(self.head)
        self.room = self.free = 1
        self.layers = self._build_layers(Effort.RECENT)

    def _parse(self, messages: Sequence[Any]) -> tuple[list[Turn], list[int]]:
        """Returns the turns of the messages after `head`, and their tokens."""
        lead = len(self.head)
        _, context = self.runtime.parse([*self.head, *messages])
        turns = [replace(turn, index=turn.index - lead) for turn in context.turns[lead:]]
        return turns, [self.runtime.tokens(turn, context) for turn in turns]

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
        before = self._total_tokens(self.records)
        self.room = max(1, min(target, limit) - self.fixed)
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
            return self._verified(self._with_summary(result, limit))
        what = "the system prompt, the task, the open tool round, pinned messages and the index of evicted rounds"
        raise BudgetTooSmallError(limit, max(needed, limit + 1), what)

    def _try_effort(self, effort: Effort, target: int, limit: int) -> tuple[CompactionResult | None, int]:
        """Returns a result and its tokens, or None and the tokens that it would need."""
        self.layers = self._build_layers(effort)
        base = self.fixed + sum(self.records[i].tokens for i in self.layers.pinned)
        beyond = min(int(MIN_FREE_FRACTION * self.room), int(MAX_FREE_FRACTION * (limit - base)))
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

    def _build_layers(self, effort: Effort) -> Layers:
        return Layers.build(
            self.records,
            self.original_turns,
            self.original_tokens,
            self.runtime.policy,
            self.runtime.counter.count,
            self.room,
            effort,
        )

    @property
    def _keep_tokens(self) -> int:
        unit, amount = self.runtime.policy.keep
        return int(amount * self.free) if unit == "fraction" else int(amount)

    def _try_select(self, recent: set[int], budget: int, effort: Effort) -> tuple[CompactionResult | None, int]:
        try:
            result = self._select(recent, budget, effort)
        except BudgetTooSmallError as error:
            return None, error.needed
        return result, result.tokens

    def _total_tokens(self, records: Iterable[MessageRecord]) -> int:
        return self.fixed + sum(record.tokens for record in records)

    def _recent_indices(self, available_tokens: int) -> set[int]:
        """Returns the positions of the newest rounds that fit, and always those of the last one.

        Users' words among them are not counted: they have a share of their own.
        """
        out: set[int] = set()
        for group in reversed(self.groups):
            if not self.layers.pinned.issuperset(group):
                available_tokens -= sum(self.records[i].tokens for i in group)
            if out and available_tokens < 0:
                break
            out.update(group)
        return out - self.layers.evictable

    def _select(self, recent: set[int], budget: int, effort: Effort) -> CompactionResult:
        stay = recent | self.layers.pinned
        # A pinned message without any text (an empty result, a recording) can only be kept with its whole round.
        stay |= {
            i
            for group in self.groups
            for i in group
            if any(not self.original_turns[k].slots for k in self.layers.pinned & set(group))
        }
        reduced, originals = self._reduce_words(stay)
        newest = self.groups[-1:]  # what the agent has just asked for may be cut, but is never evicted
        older = [g for g in self.groups if g not in newest and self._may_leave(g, stay | reduced.keys())]
        outdated = self.layers.outdated_groups(older, self.original_turns)
        forced = [g for g in older if g in outdated or self._is_unchosen(g)]
        open_items: list[OpenItem] = []
        ratio = 0.0 if effort == Effort.TIGHTEST else MAX_CANDIDATE_RATIO
        for number in range(MAX_PASSES):
            evicted = self._demote(older, forced, stay, budget, ratio)
            host = find_index_host(self.records, self.original_turns, evicted)
            if host is None:
                evicted = []
            kept = [i for group in self.groups if group not in evicted or host in group for i in group]
            index = self._index_with(evicted, outdated, open_items)
            own = {i: dict(edits) for i, edits in reduced.items()}
            if host is not None:
                self._place_index(host, index, own, originals)
            self._cut_outdated(set(kept) - stay, own, originals)
            texts, removed, notes = self._select_text(kept, stay, own, host, budget)
            edits = {i: dict(self.records[i].edits) if i in stay else texts.get(i, {}) for i in kept}
            edits |= {i: {**edits[i], **extra} for i, extra in own.items() if i in edits}
            hollow = [g for g in older if g not in evicted and self._is_hollow(g, edits, removed)]
            unseen = self._unseen_items(edits, removed, index) if host is not None else []
            records = self._new_records([i for i in kept if i not in removed], edits, host)
            used = self._total_tokens(records)
            can_fill = used < MIN_USED_FRACTION * budget and ratio > 0 and len(evicted) > len(forced)
            if number == MAX_PASSES - 1 or not (hollow or unseen or can_fill):
                break
            forced += [g for g in hollow if g not in forced]
            open_items += unseen
            ratio *= 2 if can_fill and not hollow else 1
        lost = [g for g in older if g not in evicted and removed.issuperset(g)]
        warnings: list[str] = []
        if host is None and lost:
            warnings.append(
                f"{len(lost)} tool rounds were left out whole, and no message could hold an index line for them"
            )
        elif host is not None and lost:
            index = self._index_with([*evicted, *lost], outdated, open_items)
            self._place_index(host, index, edits, originals)
            records = self._new_records([i for i in kept if i not in removed], edits, host)
        for item in open_items:
            originals |= self._text_of(item)
        left = [self._evicted_round(group, group in outdated) for group in [*evicted, *lost]]
        return CompactionResult(records, left, index, self._total_tokens(records), originals, warnings=warnings + notes)

    def _may_leave(self, group: list[int], stay: Collection[int]) -> bool:
        """Returns whether a round may leave as a whole."""
        if any(i in stay or i in self.layers.words.whole or self.records[i].holds_index for i in group):
            return False
        return not self.layers.state_positions.intersection(group)

    def _is_unchosen(self, group: list[int]) -> bool:
        """Returns whether a group is a system message or words of a user that no layer has room for."""
        return self.layers.evictable.issuperset(group) or all(has_user_text(self.original_turns[i]) for i in group)

    def _reduce_words(self, stay: Collection[int]) -> tuple[dict[int, Edits], dict[str, str]]:
        """Returns edits that leave only some sentences of users' older messages, and the originals by ref."""
        edits: dict[int, Edits] = {}
        originals: dict[str, str] = {}
        for i in self.layers.words.sentences:
            if i not in stay:
                edits[i], texts = self.layers.words.reduce(self.original_turns[i])
                originals |= texts
        for turn in self.original_turns:  # what a user said beside results, and nothing has room for
            mixed = has_user_text(turn) and bool(turn.result_call_ids)
            if mixed and turn.index not in {*stay, *edits} and turn.index not in self.layers.words.whole:
                found, texts = self.layers.words.reduce(turn)
                if found:
                    edits[turn.index] = found
                    originals |= texts
        return edits, originals

    def _demote(
        self,
        older: Sequence[list[int]],
        forced: Sequence[list[int]],
        stay: Collection[int],
        budget: int,
        ratio: float,
    ) -> list[list[int]]:
        """Returns the rounds to evict without another look, oldest first.

        These are the forced ones, and those beyond what can be selected from: all older rounds together would take too
        long to score, and what cannot be cut in them would fill the budget.
        """
        raw_left = ratio * self.room
        floor_left = MAX_FLOOR_FRACTION * (budget - self.fixed - sum(self.records[i].tokens for i in stay))
        out: list[list[int]] = []
        for group in reversed(older):
            if group not in forced:
                raw_left -= min(sum(self.original_tokens[i] for i in group), MAX_ROUND_FRACTION * self.room)
                floor_left -= sum(map(self._floor, group))
            if group in forced or raw_left < 0 or floor_left < 0:
                out.append(group)
        if out and not any(record.holds_index for record in self.records):
            plain = [g for g in older if not writes_state(g, self.original_turns) and self._can_host(g)]
            if plain and not any(g in out for g in plain):
                out.append(plain[0])  # an index beside the arguments of an old to-do list would make it look current
        return [group for group in older if group in out]

    def _can_host(self, group: list[int]) -> bool:
        return any(self.original_turns[i].role == "tool" and index_slot(self.original_turns[i]) for i in group)

    def _floor(self, i: int) -> int:
        """Returns the tokens of a message of which as much as possible is cut."""
        cut = [s for s in self.original_turns[i].slots if s.editable and s.kind in _CUT_KINDS]
        whole = sum(self.runtime.slot_tokens(slot) for slot in cut)
        return self.original_tokens[i] - whole + min(whole, PLACEHOLDER_TOKENS * len(cut))

    def _index_with(
        self, evicted: Sequence[list[int]], outdated: Sequence[list[int]], open_items: Sequence[OpenItem]
    ) -> EvictionIndex:
        count = self.runtime.counter.count
        rounds = [self._evicted_round(group, group in outdated) for group in evicted]
        index = self.index.with_rounds(rounds, count, self._share(INDEX_FRACTION))
        available = self._share(OPEN_FRACTION)
        taken = []
        for item in sorted(open_items, key=lambda item: (KINDS.index(item.kind), -item.message)):
            available -= count(item.line) + 1
            if available < 0:
                break
            taken.append(item)
        return replace(index, open_lines=tuple(i.line for i in sorted(taken, key=lambda item: item.message)))

    def _share(self, fraction: float) -> int:
        """Returns the tokens for a part of the index: a fraction of the room, where the layers leave enough."""
        return int(min(fraction * self.room, MAX_PART_FRACTION * self.free))

    def _place_index(self, host: int, index: EvictionIndex, edits: dict[int, Edits], originals: dict[str, str]) -> None:
        """Adds the edits that write the index into a message, and cut what the message's call claims."""
        turn = self.original_turns[host]
        edits[host] = {
            **edits.get(host, {}),
            **index_edits(self.runtime, turn, self.originals[host], index),
        }
        originals |= {ref: text for _, ref, text in adjacent_texts(self.runtime, turn, self.originals[host])}
        answered = {slot.call_id for slot in turn.slots if slot.kind == "tool_result"}
        group = next(g for g in self.groups if host in g)
        for i in group:
            for slot in self.original_turns[i].slots:
                if slot.kind == "tool_call" and slot.call_id in answered:
                    self._cut_call(
                        i, slot, edits, originals, is_claim=read_state(self.original_turns[i], slot) is not None
                    )

    def _cut_outdated(self, positions: Collection[int], edits: dict[int, Edits], originals: dict[str, str]) -> None:
        """Adds the edits that cut outdated states out of calls that stay."""
        for i in positions:
            for slot in self.original_turns[i].slots:
                if slot.kind == "tool_call" and (i, slot.path) in self.layers.versions.outdated_texts:
                    self._cut_call(i, slot, edits, originals, is_claim=True)

    def _cut_call(
        self, i: int, slot: TextSlot, edits: dict[int, Edits], originals: dict[str, str], is_claim: bool
    ) -> None:
        """Adds the edit that leaves a placeholder of a call's arguments, where they claim something or are long."""
        if not slot.editable or (not is_claim and self.runtime.counter.count(slot.text) <= MAX_HOST_CALL_TOKENS):
            return
        ref = compute_ref(slot.text)
        mark = format_placeholder(ref)
        if slot.text.lstrip()[:1] == "{":
            mark = json.dumps({ELLIPSIS: format_json_placeholder(ref)}, ensure_ascii=False)
        if len(mark) < len(slot.text):
            edits[i] = {**edits.get(i, {}), slot.path: mark}
            originals[ref] = slot.text

    def _select_text(
        self, kept: Sequence[int], stay: Collection[int], own: Mapping[int, Edits], host: int | None, budget: int
    ) -> tuple[dict[int, Edits], set[int], list[str]]:
        """Selects among the messages that are kept.

        Returns:
            The edits by position, the positions of messages that were removed as a whole, and warnings.
        """
        lead = len(self.head)
        rendered = self._render(own)
        shown = [rendered.get(i, self.views[i] if i in stay else self.originals[i]) for i in kept]
        place = {i: lead + k for k, i in enumerate(kept)}
        fixed = {(place[i], path) for i, path in self.layers.pinned_slots if i in place}
        fixed |= {(place[i], path) for i, edits in own.items() if i in place for path in edits}
        compression = self.runtime.prepare_compression(
            [*self.head, *shown],
            "compact",
            frozenset(place[i] for i in {*stay, *([] if host is None else [host])} if i in place),
            self.expansions,
            lambda message, text: self.layers.words.find_spans(kept[message - lead], text),
            frozenset(fixed),
        )
        compression.run(self.runtime.counter.count_context(compression.context), budget)
        edits: dict[int, Edits] = {}
        for (message, path), text in compression.edits.items():
            edits.setdefault(kept[message - lead], {})[path] = text
        removed = {kept[message - lead] for message in compression.removed}
        removed -= {i for group in self.groups if self.layers.pinned.intersection(group) for i in group}
        return edits, removed, [w for w in compression.warnings if "left out whole" not in w]

    def _render(self, edits: Mapping[int, Edits]) -> dict[int, Any]:
        """Returns the originals with edits, by position."""
        lead = len(self.head)
        messages = self.runtime.render([*self.head, *self.originals], {lead + i: own for i, own in edits.items()})
        return {i: messages[lead + i] for i in edits}

    def _is_hollow(self, group: list[int], edits: Mapping[int, Edits], removed: Collection[int]) -> bool:
        """Returns whether a round says nothing any more: its texts are placeholders or very short.

        Reasoning does not count, because reasoning about what is gone is of no use.
        """
        if all(i in removed for i in group):
            return True
        turns = [self.original_turns[i] for i in group]
        if any(turn.role in ("system", "user") for turn in turns):
            return False
        slots = [
            (turn.index, slot) for turn in turns for slot in turn.slots if slot.kind in ("tool_result", "assistant")
        ]
        marks = [_is_mark(edits.get(i, {}).get(slot.path, slot.text)) for i, slot in slots]
        return any(marks) and all(
            mark or (slot.kind == "assistant" and self.runtime.counter.count(slot.text) <= MIN_BLOCK_TOKENS)
            for mark, (_, slot) in zip(marks, slots, strict=True)
        )

    def _unseen_items(
        self, edits: Mapping[int, Edits], removed: Collection[int], index: EvictionIndex
    ) -> list[OpenItem]:
        """Returns the open items that neither a message in view nor the index says."""
        texts = [index.text]
        for i, own in edits.items():
            if i not in removed:
                texts += [own.get(slot.path, slot.text) for slot in self.original_turns[i].slots]
        view = "\n".join(" ".join(text.split()) for text in texts)
        known = set(index.open_lines)
        return [item for item in self.open_items if item.line not in known and not item.is_in(view)]

    def _text_of(self, item: OpenItem) -> dict[str, str]:
        """Returns the text that says an open item by its ref, if its message is live."""
        for i, record in enumerate(self.records):
            if record.index == item.message:
                texts = [slot.text for slot in self.original_turns[i].slots]
                return {ref: text for text in texts if (ref := compute_ref(text)) == item.ref}
        return {}

    @cached_property
    def _task(self) -> dict[str, float]:
        """Returns the words of the users' instructions, as terms with weights."""
        said = [own_words(turn) for turn in self.original_turns if has_user_text(turn)]
        said = [text for text in said if is_instruction(text)]
        return dict(weighted_terms(tuple((text[:MAX_TASK_CHARS], 1.0) for text in [*said[:1], *said[-2:]])))

    def _evicted_round(self, group: list[int], is_outdated: bool = False) -> EvictedRound:
        key = (tuple(group), is_outdated)
        if key not in self._rounds:
            turns = [self.original_turns[i] for i in group]
            best = "" if is_outdated else best_line(turns, self._task, MAX_BEST_CHARS)
            found = EvictedRound.from_turns(
                turns, [self.originals[i] for i in group], [self.records[i].index for i in group], best, is_outdated
            )
            if self._needs_no_line(group):
                found = replace(found, label="")
            self._rounds[key] = found
        return self._rounds[key]

    def _needs_no_line(self, group: list[int]) -> bool:
        """Returns whether a round is a short message that only says to go on, or one that is said again later."""
        turns = [self.original_turns[i] for i in group]
        return not any(turn.call_ids for turn in turns) and (
            sum(self.original_tokens[i] for i in group) < MIN_ROUND_TOKENS
            and not any(is_instruction(own_words(turn)) for turn in turns)
        )

    def _new_records(self, kept: Sequence[int], edits: Mapping[int, Edits], host: int | None) -> list[MessageRecord]:
        out = []
        for i in kept:
            own = edits.get(i, {})
            tokens = self.runtime.edited_tokens(self.original_tokens[i], self.original_turns[i], own)
            out.append(replace(self.records[i], edits=own, tokens=tokens, holds_index=i == host))
        return out

    @property
    def _summary_tokens(self) -> int:
        """Returns the tokens reserved for a summary."""
        if self.runtime.policy.summarizer is None:
            return 0
        return max(1, int(SUMMARY_FRACTION * self.room))

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
        """Raises CompressorError if a pinned message or what a user said is missing in the result."""
        now = {record.index: record for record in result.records}
        for i, old in enumerate(self.records):
            new = now.get(old.index)
            if i in self.layers.pinned and (new is None or new.edits != old.edits):
                raise CompressorError(
                    f"a compaction changed message {old.index}, which is pinned. This is a bug: please report it"
                )
            left = (
                ""
                if new is None
                else "\n".join(new.edits.get(s.path, s.text) for s in self.original_turns[i].slots if s.kind == "user")
            )
            if not all(sentence in left for sentence in self.layers.words.sentences.get(i, ())):
                raise CompressorError(
                    f"a compaction lost a constraint in message {old.index}. This is a bug: please report it"
                )
        return result


def _is_mark(text: str) -> bool:
    """Returns whether a text is nothing but a placeholder."""
    return len(text) <= MAX_MARK_CHARS and bool(find_refs(text))
