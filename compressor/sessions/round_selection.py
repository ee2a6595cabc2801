"""Selects what a compaction keeps of the rounds that no layer holds, and evicts the others into the index."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from compressor.context.refs import find_refs
from compressor.pipeline.working_context import MIN_BLOCK_TOKENS
from compressor.sessions.compaction_input import CompactionInput
from compressor.sessions.compaction_result import CompactionResult
from compressor.sessions.evicted_rounds import EvictionIndex
from compressor.sessions.image_numbers import number_images
from compressor.sessions.index_placement import find_index_host, index_slot, writes_state
from compressor.sessions.index_writer import IndexWriter
from compressor.sessions.layers import Layers
from compressor.sessions.open_items import OpenItem
from compressor.sessions.runtime import Edits
from compressor.sessions.user_words import has_user_text

MAX_CANDIDATE_RATIO = 6.0  # times the room: so many tokens of older rounds' originals are selected from
MAX_ROUND_FRACTION = 0.34  # of the room: a larger round counts as this much, because it will be cut to less
MAX_FLOOR_FRACTION = 0.3  # of what the layers leave, for what cannot be cut in older rounds
MIN_USED_FRACTION = 0.9  # of the budget: if less is used, more of the older rounds are selected from
PLACEHOLDER_TOKENS = 9
MAX_PASSES = 4
MAX_MARK_CHARS = 48

_CUT_KINDS = ("tool_result", "assistant", "thinking", "document", "image")


@dataclass
class RoundSelection:
    """One selection.

    Attributes:
        given: The history.
        layers: What must stay.
        writer: Writes the index.
        recent: Positions of the newest rounds, which stay as the view shows them.
        budget: The tokens of the new view.
        evicts_all: Whether every closed round leaves, instead of being selected from.
    """

    given: CompactionInput
    layers: Layers
    writer: IndexWriter
    recent: set[int]
    budget: int
    evicts_all: bool = False

    def run(self) -> CompactionResult:
        """Returns what stays and what leaves.

        Raises:
            BudgetTooSmallError: What must stay is larger than the budget.
        """
        stay = self.recent | self.layers.pinned
        # A pinned message without any text (an empty result, a recording) can only be kept with its whole round.
        bare = {i for i in self.layers.pinned if not self.given.turns[i].slots}
        stay |= {i for group in self.given.groups if not bare.isdisjoint(group) for i in group}
        newest = self.given.groups[-1:]  # what the agent has just asked for may be cut, but is never evicted
        stay |= {i for group in newest for i in group if self.given.turns[i].is_malformed}
        reduced, originals = self._reduce_words(stay)
        fixed = stay | self.layers.words.sentences.keys()
        older = [g for g in self.given.groups if g not in newest and self._may_leave(g, fixed)]
        # Sets of rounds hold the first position of each: a history may have thousands of them.
        outdated = {g[0] for g in self.layers.outdated_groups(older, self.given.turns)}
        forced = {g[0] for g in older if g[0] in outdated or self._is_unchosen(g)}
        open_items: list[OpenItem] = []
        demoted, is_wider = set[int](), False
        ratio = 0.0 if self.evicts_all else MAX_CANDIDATE_RATIO
        for number in range(MAX_PASSES):
            if number == 0 or is_wider:
                demoted = self._demote(older, forced, stay, ratio)
            evicted = [group for group in older if group[0] in demoted or group[0] in forced]
            host = find_index_host(self.given.records, self.given.turns, evicted)
            if host is None:
                evicted = []
            left = {group[0] for group in evicted}
            kept = [i for group in self.given.groups if group[0] not in left or host in group for i in group]
            index = self.writer.index_with(evicted, outdated, open_items)
            own = {i: dict(edits) for i, edits in reduced.items()}
            if host is not None:
                self.writer.place(host, index, own, originals)
            self.writer.cut_outdated(set(kept) - stay, self.layers.versions.outdated_texts, own, originals)
            texts, removed, notes = self._select_text(kept, stay, own, host)
            edits = {i: dict(self.given.records[i].edits) if i in stay else texts.get(i, {}) for i in kept}
            edits |= {i: {**edits[i], **extra} for i, extra in own.items() if i in edits}
            hollow = {g[0] for g in older if g[0] not in left and self._is_hollow(g, edits, removed)}
            unseen = self._unseen_items(edits, removed, index) if host is not None else []
            records = self.given.new_records(kept, removed, edits, host)
            used = self.given.total_tokens(records)
            can_fill = used < MIN_USED_FRACTION * self.budget and ratio > 0 and len(evicted) > len(forced)
            if number == MAX_PASSES - 1 or not (hollow or unseen or can_fill):
                break
            forced |= hollow
            open_items += unseen
            is_wider = can_fill and not hollow
            ratio *= 2 if is_wider else 1
        lost = [g for g in older if g[0] not in left and removed.issuperset(g)]
        warnings: list[str] = []
        if host is None and lost:
            warnings.append(
                f"{len(lost)} tool rounds were left out whole, and no message could hold an index line for them"
            )
        elif host is not None and lost:
            index = self.writer.index_with([*evicted, *lost], outdated, open_items)
            self.writer.place(host, index, edits, originals)
            records = self.given.new_records(kept, removed, edits, host)
        for item in open_items:
            originals |= self.writer.text_of(item)
        rounds = [self.writer.round_of(group, group[0] in outdated) for group in [*evicted, *lost]]
        return CompactionResult(
            records, rounds, index, self.given.total_tokens(records), originals, warnings=warnings + notes
        )

    def _may_leave(self, group: list[int], stay: Collection[int]) -> bool:
        """Returns whether a round may leave as a whole."""
        if any(i in stay or i in self.layers.words.whole or self.given.records[i].holds_index for i in group):
            return False
        return not self.layers.state_positions.intersection(group)

    def _is_unchosen(self, group: list[int]) -> bool:
        """Returns whether a group is a system message or words of a user that no layer has room for."""
        return self.layers.evictable.issuperset(group) or all(has_user_text(self.given.turns[i]) for i in group)

    def _reduce_words(self, stay: Collection[int]) -> tuple[dict[int, Edits], dict[str, str]]:
        """Returns edits that leave only some sentences of users' older messages, and the originals by ref."""
        edits: dict[int, Edits] = {}
        originals: dict[str, str] = {}
        for i in self.layers.words.sentences:
            if i not in stay:
                edits[i], texts = self.layers.words.reduce(self.given.turns[i])
                originals |= texts
        for turn in self.given.turns:  # what a user said beside results, and nothing has room for
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
        forced: Collection[int],
        stay: Collection[int],
        ratio: float,
    ) -> set[int]:
        """Returns the first positions of the rounds to evict without another look.

        These are the forced ones, and those beyond what can be selected from: all older rounds together would take too
        long to score, and what cannot be cut in them would fill the budget.
        """
        raw_left = ratio * self.writer.room
        floor_left = MAX_FLOOR_FRACTION * (self.budget - self.given.fixed - self.given.tokens_of(stay))
        out: set[int] = set()
        for group in reversed(older):
            if group[0] not in forced:
                raw_left -= min(sum(self.given.tokens[i] for i in group), MAX_ROUND_FRACTION * self.writer.room)
                floor_left -= sum(map(self._floor, group))
            if group[0] in forced or raw_left < 0 or floor_left < 0:
                out.add(group[0])
        if out and not any(record.holds_index for record in self.given.records):
            plain = [g for g in older if not writes_state(g, self.given.turns) and self._can_host(g)]
            if plain and not any(g[0] in out for g in plain):
                out.add(plain[0][0])  # an index beside the arguments of an old to-do list would make it look current
        return out

    def _can_host(self, group: list[int]) -> bool:
        return any(self.given.turns[i].role == "tool" and index_slot(self.given.turns[i]) for i in group)

    def _floor(self, i: int) -> int:
        """Returns the tokens of a message of which as much as possible is cut."""
        cut = [s for s in self.given.turns[i].slots if s.editable and s.kind in _CUT_KINDS]
        whole = sum(self.given.runtime.slot_tokens(slot) for slot in cut)
        return self.given.tokens[i] - whole + min(whole, PLACEHOLDER_TOKENS * len(cut))

    def _select_text(
        self, kept: Sequence[int], stay: Collection[int], own: Mapping[int, Edits], host: int | None
    ) -> tuple[dict[int, Edits], set[int], list[str]]:
        """Selects among the messages that are kept.

        Returns:
            The edits by position, the positions of messages that were removed as a whole, and warnings.
        """
        lead = len(self.given.head)
        rendered = self.given.render(own)
        shown = [rendered.get(i, self.given.views[i] if i in stay else self.given.originals[i]) for i in kept]
        place = {i: lead + k for k, i in enumerate(kept)}
        fixed = {(place[i], path) for i, path in self.layers.pinned_slots if i in place}
        fixed |= {(place[i], path) for i, edits in own.items() if i in place for path in edits}
        compression = self.given.runtime.prepare_compression(
            [*self.given.head, *shown],
            "compact",
            frozenset(place[i] for i in {*stay, *([] if host is None else [host])} if i in place),
            self.given.expansions,
            lambda message, text: self.layers.words.find_spans(kept[message - lead], text),
            frozenset(fixed),
            number_images(
                [self.given.turns[i] for i in kept],
                [self.given.records[i] for i in kept],
                lead,
                {k for k, i in enumerate(kept) if i in stay and i not in rendered},
            ),
        )
        compression.run(self.given.runtime.counter.count_context(compression.context), self.budget)
        edits: dict[int, Edits] = {}
        for (message, path), text in compression.edits.items():
            edits.setdefault(kept[message - lead], {})[path] = text
        removed = {kept[message - lead] for message in compression.removed}
        removed -= {i for group in self.given.groups if self.layers.pinned.intersection(group) for i in group}
        return edits, removed, [w for w in compression.warnings if "left out whole" not in w]

    def _is_hollow(self, group: list[int], edits: Mapping[int, Edits], removed: Collection[int]) -> bool:
        """Returns whether a round says nothing any more: its texts are placeholders or very short.

        Reasoning does not count, because reasoning about what is gone is of no use.
        """
        if all(i in removed for i in group):
            return True
        turns = [self.given.turns[i] for i in group]
        if any(turn.role in ("system", "user") for turn in turns):
            return False
        slots = [
            (turn.index, slot) for turn in turns for slot in turn.slots if slot.kind in ("tool_result", "assistant")
        ]
        marks = [_is_mark(edits.get(i, {}).get(slot.path, slot.text)) for i, slot in slots]
        return any(marks) and all(
            mark or (slot.kind == "assistant" and self.given.runtime.counter.count(slot.text) <= MIN_BLOCK_TOKENS)
            for mark, (_, slot) in zip(marks, slots, strict=True)
        )

    def _unseen_items(
        self, edits: Mapping[int, Edits], removed: Collection[int], index: EvictionIndex
    ) -> list[OpenItem]:
        """Returns the open items that neither a message in view nor the index says."""
        texts = [index.text]
        for i, own in edits.items():
            if i not in removed:
                texts += [own.get(slot.path, slot.text) for slot in self.given.turns[i].slots]
        view = "\n".join(" ".join(text.split()) for text in texts)
        known = set(index.open_lines)
        return [item for item in self.given.open_items if item.line not in known and not item.is_in(view)]


def _is_mark(text: str) -> bool:
    """Returns whether a text is nothing but a placeholder."""
    return len(text) <= MAX_MARK_CHARS and bool(find_refs(text))
