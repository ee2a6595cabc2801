"""Holds a context while it is compressed: its blocks, their edits, and the exact token count of the present state."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from compressor.context.blocks import Block, Priority
from compressor.context.formats.json_values import part_json
from compressor.context.model import Context, TextSlot
from compressor.context.tool_rounds import group_tool_rounds
from compressor.pipeline.block_edit import BlockEdit
from compressor.pipeline.earlier_excerpt import CuttableText, FindText, is_own_run, open_text
from compressor.pipeline.edited_slots import EditedSlots, Key
from compressor.pipeline.image_plan import NO_IMAGES, ImagePlan
from compressor.pipeline.message_runs import MessageRun, find_removable_messages, join_runs
from compressor.text.layout_cache import single_unit_layout
from compressor.tokens import TokenCounter

MIN_BLOCK_TOKENS = 24  # A block of up to this many tokens is edited only when nothing else is left.
_SPOKEN_KINDS = ("tool_call", "assistant", "user")  # a placeholder replaces these only if it is half as long or less
MAX_WHOLE_MESSAGE_TOKENS = 64  # A sentence out of a message of up to this many tokens says too little.


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What the edits amount to.

    Attributes:
        hosts: The runs of dropped messages that share a placeholder, by the message that carries it, in order.
        left_out: The messages that are not in the request any more.
        tokens: The exact tokens of the whole context.
    """

    hosts: dict[int, MessageRun]
    left_out: set[int]
    tokens: int


class WorkingContext:
    """A context, the edits of its blocks, and the messages that are left out.

    Attributes:
        context: The parsed context.
        counter: Counts tokens as the target model does.
        before: The exact token count of the untouched context.
        block_edits: The edits of the blocks whose priority is unlocked, in order.
        evicted: Indices of the messages that are left out whole, without a placeholder of their own.
        removable: Indices of the messages that may leave in a run, whose blocks all may be edited.
        images: What becomes of the images.
    """

    def __init__(
        self,
        context: Context,
        blocks: list[Block],
        counter: TokenCounter,
        before: int,
        find_text: FindText = lambda ref: None,
        join_messages: bool = True,
        blocks_in_front: Callable[[], list[Block]] = list,
        images: ImagePlan = NO_IMAGES,
    ) -> None:
        """Starts with the untouched context.

        Args:
            context: The parsed context.
            blocks: Its blocks, in order.
            counter: Counts tokens as the target model does.
            before: The exact token count of the untouched context.
            find_text: Returns the text behind a ref of ours.
            join_messages: Whether neighbouring messages that are dropped share one placeholder.
            blocks_in_front: Makes the blocks before those given, which all are pinned. They are seldom needed.
            images: What becomes of the images.
        """
        self.context = context
        self._blocks = blocks
        self._blocks_in_front = blocks_in_front
        self.counter = counter
        self.before = before
        self.block_edits: list[BlockEdit] = []
        self.evicted: set[int] = set()
        self.removable: set[int] = set()
        self.images = images
        self._find_text = find_text
        self._slots: dict[Key, list[Block]] = defaultdict(list)
        for block in blocks:
            self._slots[block.slot.message, block.slot.path].append(block)
        self._index_edits([])
        fixed = {b.slot.message for b in blocks if b.priority == Priority.PINNED or b.example >= 0}
        self._single_texts = find_removable_messages(context.turns, context.messages, fixed) if join_messages else set()
        self._turn_tokens: dict[int, int] = {}
        self._runs: tuple[frozenset[int], list[MessageRun]] = frozenset(), []
        self._stretches: dict[tuple[int, int], MessageRun] = {}

    @cached_property
    def blocks(self) -> list[Block]:
        """Returns all blocks, in order."""
        return [*self._blocks_in_front(), *self._blocks]

    def unlock_priority(self, priority: int) -> None:
        """Makes an edit for each block up to this priority that is larger than the placeholder that could replace it.

        Short blocks, where a placeholder saves little, are edited only when the last priority is unlocked, or if their
        whole message may leave in a run.
        """
        min_tokens = MIN_BLOCK_TOKENS if priority < Priority.HISTORY else 0
        known = {edit.block.number for edit in self.block_edits}
        fresh = [b for b in self._blocks if b.priority <= priority and b.number not in known]
        if self.images.kept and priority < Priority.HISTORY:
            fresh = [b for b in fresh if (b.slot.message, b.slot.path) not in self.images.kept]
        locked = {b.slot.message for b in self._blocks if b.priority > priority}
        for block, tokens in zip(fresh, self.counter.count_many([b.text for b in fresh]), strict=True):
            block.tokens = tokens if block.slot.image is None else self._image_tokens(block.slot)
            in_run = block.slot.message in self._single_texts and block.slot.message not in locked
            if in_run or block.tokens > (min_tokens if block.example < 0 else 0):
                text = self._open(block, in_run)
                edit = BlockEdit(
                    block,
                    self.counter,
                    text.layout,
                    text.original,
                    has_placeholder=block.example < 0,
                    is_recut=text.is_excerpt,
                    placeholder_units=text.placeholder_units,
                    line=self._image_line(block),
                    match=self.images.matches.get((block.slot.message, block.slot.path), 0.0),
                )
                most = block.tokens // 2 if block.kind in _SPOKEN_KINDS else block.tokens - 1
                if in_run or edit.placeholder_tokens <= most:
                    self.block_edits.append(edit)
        self.removable = self._single_texts - locked - self.evicted
        self._index_edits(self.block_edits)

    def _open(self, block: Block, in_run: bool) -> CuttableText:
        if block.slot.image is not None:
            words = self.images.words.get((block.slot.message, block.slot.path), block.text)
            return CuttableText(single_unit_layout(words), self._image_source(block.slot))
        if in_run and block.tokens <= MAX_WHOLE_MESSAGE_TOKENS and block.text == block.slot.text:
            layout = single_unit_layout(block.text)
            is_run = is_own_run(block.text, self._find_text)
            return CuttableText(layout, block.text, placeholder_units=np.ones(1, np.bool_) if is_run else None)
        return open_text(block.text, block.kind, block.tool_call_text, self._find_text)

    def _index_edits(self, edits: list[BlockEdit]) -> None:
        self.block_edits = sorted(edits, key=lambda edit: edit.block.number)
        self._example_edits = [edit for edit in self.block_edits if edit.block.example >= 0]
        self._removable_edits = [edit for edit in self.block_edits if edit.block.slot.message in self.removable]
        self._edited = EditedSlots(self.block_edits, self._slots, self.counter, self.images.edits)
        self._outcome: _Outcome | None = None

    def _image_tokens(self, slot: TextSlot) -> int:
        edit = self.images.edits.get((slot.message, slot.path))
        return self.counter.count_slot(slot) if edit is None else self.counter.count_edit(slot, edit)

    def _image_line(self, block: Block) -> str:
        """Returns the line for an image, unless a shorter text stands for it already."""
        key = block.slot.message, block.slot.path
        line = self.images.lines.get(key, "") if block.slot.image is not None else ""
        return line if line and self.counter.count(line) < block.tokens // 2 else ""

    def _image_source(self, slot: TextSlot) -> str:
        return part_json(self.context.messages[slot.message], slot.path)

    @property
    def dropped_example_messages(self) -> set[int]:
        """Returns the messages that are examples which were not chosen.

        They leave no placeholder, because it would look like an example itself.
        """
        return {edit.block.slot.message for edit in self._example_edits if edit.action == "dropped"}

    @property
    def runs(self) -> list[MessageRun]:
        """Returns the runs of dropped messages that share one placeholder, in the present state."""
        return list(self._present.hosts.values())

    @property
    def _present(self) -> _Outcome:
        """Returns what the edits amount to. It is worked out anew only after a change."""
        if self._edited.refresh() or self._outcome is None:
            hosts = {run.host: run for run in self._find_runs()}
            left_out = self.evicted.union(self.dropped_example_messages, *(run.removed for run in hosts.values()))
            tokens = self.before + self._edited.total
            tokens -= sum(map(self._edited.change_of, left_out.union(hosts)))
            tokens += sum(map(self._run_change, hosts.values())) - sum(map(self.turn_tokens, left_out))
            self._outcome = _Outcome(hosts, left_out, tokens)
        return self._outcome

    def _find_runs(self) -> list[MessageRun]:
        if not self.removable:
            return []
        kept = {e.block.slot.message for e in self._removable_edits if not e.is_empty}
        dropped = frozenset(self.removable - kept)
        if self._runs[0] != dropped:
            self._runs = dropped, join_runs(dropped, self.evicted, self._make_run, self._is_shorter)
        return self._runs[1]

    def _make_run(self, start: int, end: int, host: int) -> MessageRun:
        run = self._stretches.get((start, end))
        if run is None or run.host != host:
            run = MessageRun(tuple(self.context.turns[start:end]), host, self._find_text)
            self._stretches[start, end] = run
        return run

    def _is_shorter(self, run: MessageRun) -> bool:
        """Returns whether a run's placeholder takes fewer tokens than its messages with placeholders of their own."""
        change_of = self._edited.change_of
        apart = sum(self.turn_tokens(i) + change_of(i) for i in run.removed - self.evicted)
        host = self.context.turns[run.host].slots[0]
        return self._placeholder_tokens(run) < apart + self.counter.count(host.text) + change_of(run.host)

    @property
    def left_out(self) -> set[int]:
        """Returns the messages that are not in the request any more."""
        return self._present.left_out

    def count_tokens(self) -> int:
        """Returns the exact tokens of the whole context in its present state."""
        return self._present.tokens

    def _run_change(self, run: MessageRun) -> int:
        """Returns the tokens that the message with a run's placeholder has gained, negative if it has lost some."""
        slot = self.context.turns[run.host].slots[0]
        return self._placeholder_tokens(run) - self.counter.count(slot.text)

    def _placeholder_tokens(self, run: MessageRun) -> int:
        return self.counter.count(run.sample_placeholder if self.counter.counts_refs_alike else run.placeholder)

    def message_tokens(self) -> dict[int, int]:
        """Returns the exact tokens of each message that is still in the context."""
        hosts, left_out = self._present.hosts, self._present.left_out
        sizes = {turn.index: self.turn_tokens(turn.index) for turn in self.context.turns if turn.index not in left_out}
        for message in sizes:
            run = hosts.get(message)
            sizes[message] += self._edited.change_of(message) if run is None else self._run_change(run)
        return sizes

    def turn_tokens(self, message: int) -> int:
        """Returns the tokens of a message as it was."""
        tokens = self._turn_tokens.get(message)
        if tokens is None:
            tokens = self.counter.count_known_turn(self.context, message)
            self._turn_tokens[message] = tokens
        return tokens

    def edits(self) -> dict[Key, str]:
        """Returns the new text of every slot that changed."""
        hosts, left_out = self._present.hosts, self._present.left_out
        out: dict[Key, str] = {}
        for key in self._slots:
            if key[0] in hosts:
                out[key] = hosts[key[0]].placeholder
            elif key[0] not in left_out and (text := self._edited.changed_text(key)) is not None:
                out[key] = text
        return out

    def settle(self) -> None:
        """Brings the edits in line with the runs: what left in a run is dropped, whatever its length."""
        places = {turn.index: run for run in self.runs for turn in run.turns}
        carriers: set[int] = set()
        for edit in self.block_edits:
            message = edit.block.slot.message
            if (run := places.get(message)) is not None:
                edit.drop(run.placeholder if message == run.host and message not in carriers else "")
                carriers.add(message)

    def evict_tool_rounds(self, budget: int, pinned: Collection[int] = ()) -> None:
        """Leaves out whole tool rounds, oldest first, until the context fits; then other messages.

        Args:
            budget: The maximum tokens of the whole.
            pinned: Messages to keep, even if they have no text. Messages with pinned blocks, and the calls and results
                that belong to a message that is kept, are kept anyway.
        """
        kept = {b.slot.message for b in self.blocks if b.priority == Priority.PINNED}.union(
            pinned, self.dropped_example_messages
        )
        sizes = self.message_tokens()
        total = self.count_tokens()
        groups = [group for group in group_tool_rounds(self.context.turns) if not kept.intersection(group)]
        # Messages in runs take no tokens but those of the run's placeholder, so they go last.
        for group in sorted(groups, key=lambda group: self.removable.issuperset(group)):
            if total <= budget:
                break
            self.evicted.update(group)
            total -= sum(sizes.get(i, 0) for i in group)
        self.removable -= self.evicted
        self._runs = frozenset(), []
        self._index_edits([edit for edit in self.block_edits if edit.block.slot.message not in self.evicted])
