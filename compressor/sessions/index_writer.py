"""Writes the index of a compaction: lines for the rounds that leave, what is not resolved, and where it stands."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from compressor.context.model import Path, TextSlot
from compressor.context.refs import (
    ELLIPSIS,
    compute_ref,
    format_json_placeholder,
    format_placeholder,
)
from compressor.scoring.bm25 import weighted_terms
from compressor.sessions.acknowledgements import is_acknowledgement, is_notice
from compressor.sessions.best_line import best_line
from compressor.sessions.compaction_input import CompactionInput
from compressor.sessions.evicted_rounds import (
    INDEX_FRACTION,
    MAX_BEST_CHARS,
    OPEN_FRACTION,
    EvictedRound,
    EvictionIndex,
)
from compressor.sessions.index_placement import adjacent_texts, index_edits
from compressor.sessions.open_items import KINDS, OpenItem
from compressor.sessions.runtime import Edits
from compressor.sessions.state_calls import read_state
from compressor.sessions.user_words import has_user_text, is_instruction, own_words

KnownRounds = dict[tuple[tuple[int, ...], bool], EvictedRound]
MIN_ROUND_TOKENS = 40  # an evicted round of less without a call has no line of its own in the index
MAX_HOST_CALL_TOKENS = 40  # longer arguments of the call whose result holds the index are cut
MAX_TASK_CHARS = 2_000
MAX_PART_FRACTION = 0.35  # of what the layers leave, for the lines of rounds, and for what is not resolved


@dataclass
class IndexWriter:
    """Writes the index of one compaction.

    Attributes:
        given: The history.
        room: The tokens that the compaction may leave besides system prompt and tool schemas.
        free: Those of them that the layers leave.
        known: Rounds that were described before, by their positions and whether there is a newer version.
    """

    given: CompactionInput
    room: int
    free: int
    known: KnownRounds = field(default_factory=dict)

    def index_with(
        self, evicted: Sequence[list[int]], outdated: Collection[int], open_items: Sequence[OpenItem]
    ) -> EvictionIndex:
        """Returns the index with lines for these rounds and items, within their shares.

        Args:
            evicted: The rounds that leave.
            outdated: The first positions of rounds that have a newer version.
            open_items: What is not resolved and would not be in view otherwise.
        """
        count = self.given.runtime.counter.count
        rounds = [self.round_of(group, group[0] in outdated) for group in evicted]
        index = self.given.index.with_rounds(rounds, count, self._share(INDEX_FRACTION))
        available = self._share(OPEN_FRACTION)
        taken = []
        for item in sorted(open_items, key=lambda item: (KINDS.index(item.kind), -item.message)):
            available -= count(item.line) + 1
            if available < 0:
                break
            taken.append(item)
        return replace(index, open_lines=tuple(i.line for i in sorted(taken, key=lambda item: item.message)))

    def place(self, host: int, index: EvictionIndex, edits: dict[int, Edits], originals: dict[str, str]) -> None:
        """Adds the edits that write the index into a message, and cut what the message's call claims."""
        turn = self.given.turns[host]
        edits[host] = {
            **edits.get(host, {}),
            **index_edits(self.given.runtime, turn, self.given.originals[host], index),
        }
        originals |= {
            ref: text for _, ref, text in adjacent_texts(self.given.runtime, turn, self.given.originals[host])
        }
        answered = {slot.call_id for slot in turn.slots if slot.kind == "tool_result"}
        group = next(g for g in self.given.groups if host in g)
        for i in group:
            for slot in self.given.turns[i].slots:
                if slot.kind == "tool_call" and slot.call_id in answered:
                    self._cut_call(
                        i, slot, edits, originals, is_claim=read_state(self.given.turns[i], slot) is not None
                    )

    def cut_outdated(
        self,
        positions: Collection[int],
        outdated: Collection[tuple[int, Path]],
        edits: dict[int, Edits],
        originals: dict[str, str],
    ) -> None:
        """Adds the edits that cut outdated states out of calls that stay."""
        for i in positions:
            for slot in self.given.turns[i].slots:
                if slot.kind == "tool_call" and (i, slot.path) in outdated:
                    self._cut_call(i, slot, edits, originals, is_claim=True)

    def _cut_call(
        self, i: int, slot: TextSlot, edits: dict[int, Edits], originals: dict[str, str], is_claim: bool
    ) -> None:
        """Adds the edit that leaves a placeholder of a call's arguments, where they claim something or are long."""
        if not slot.editable or (not is_claim and self.given.runtime.counter.count(slot.text) <= MAX_HOST_CALL_TOKENS):
            return
        ref = compute_ref(slot.text)
        mark = format_placeholder(ref)
        if slot.text.lstrip()[:1] == "{":
            mark = json.dumps({ELLIPSIS: format_json_placeholder(ref)}, ensure_ascii=False)
        if len(mark) < len(slot.text):
            edits[i] = {**edits.get(i, {}), slot.path: mark}
            originals[ref] = slot.text

    def _share(self, fraction: float) -> int:
        """Returns the tokens for a part of the index: a fraction of the room, where the layers leave enough."""
        return int(min(fraction * self.room, MAX_PART_FRACTION * self.free))

    def round_of(self, group: list[int], is_outdated: bool = False) -> EvictedRound:
        """Returns an evicted round with its best line."""
        key = (tuple(group), is_outdated)
        if key not in self.known:
            turns = [self.given.turns[i] for i in group]
            best = "" if is_outdated else best_line(turns, self._task, MAX_BEST_CHARS)
            found = EvictedRound.from_turns(
                turns,
                [self.given.originals[i] for i in group],
                [self.given.records[i].index for i in group],
                best,
                is_outdated,
            )
            if is_outdated or self._needs_no_line(group):
                found = replace(found, label="")
            self.known[key] = found
        return self.known[key]

    def _needs_no_line(self, group: list[int]) -> bool:
        """Returns whether a round is a short message that only says to go on."""
        turns = [self.given.turns[i] for i in group]
        if any(turn.call_ids for turn in turns) or sum(self.given.tokens[i] for i in group) >= MIN_ROUND_TOKENS:
            return False
        words = [own_words(turn) for turn in turns]
        return all(not said or is_acknowledgement(said) or is_notice(said) for said in words)

    @cached_property
    def _task(self) -> dict[str, float]:
        """Returns the words of the users' instructions, as terms with weights."""
        said = [own_words(turn) for turn in self.given.turns if has_user_text(turn)]
        said = [text for text in said if is_instruction(text)]
        return dict(weighted_terms(tuple((text[:MAX_TASK_CHARS], 1.0) for text in [*said[:1], *said[-2:]])))

    def text_of(self, item: OpenItem) -> dict[str, str]:
        """Returns the text that says an open item by its ref, if its message is live."""
        for i, record in enumerate(self.given.records):
            if record.index == item.message:
                texts = [slot.text for slot in self.given.turns[i].slots]
                return {ref: text for text in texts if (ref := compute_ref(text)) == item.ref}
        return {}
