"""Holds a context while it is compressed: its blocks, their edits, and the exact token count of the present state."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection
from typing import Any

from compressor.context.blocks import Block, Priority
from compressor.context.model import Context, Path, TextSlot
from compressor.context.tool_rounds import group_tool_rounds
from compressor.pipeline.block_edit import BlockEdit
from compressor.text.layout_cache import cached_layout
from compressor.tokens import TokenCounter

Key = tuple[int, Path]
MIN_BLOCK_TOKENS = 24  # A block of up to this many tokens is edited only when nothing else is left.


class WorkingContext:
    """A context, the edits of its blocks, and the messages that are left out.

    Attributes:
        context: The parsed context.
        blocks: All its blocks, in order.
        counter: Counts tokens as the target model does.
        before: The exact token count of the untouched context.
        block_edits: The edits of the blocks whose priority is unlocked, in order.
        evicted: Indices of the messages that are left out whole.
    """

    def __init__(self, context: Context, blocks: list[Block], counter: TokenCounter, before: int) -> None:
        self.context = context
        self.blocks = blocks
        self.counter = counter
        self.before = before
        self.block_edits: list[BlockEdit] = []
        self.evicted: set[int] = set()
        self._example_edits: list[BlockEdit] = []
        self._slots: dict[Key, list[Block]] = defaultdict(list)
        for block in blocks:
            self._slots[block.slot.message, block.slot.path].append(block)
        self._edits_by_slot: dict[Key, dict[int, BlockEdit]] = {}

    def unlock_priority(self, priority: int) -> None:
        """Makes an edit for each block up to this priority that is larger than the placeholder that could replace it.

        Short blocks, where a placeholder saves little, are edited only when the last priority is unlocked.
        """
        min_tokens = MIN_BLOCK_TOKENS if priority < Priority.HISTORY else 0
        known = {edit.block.number for edit in self.block_edits}
        fresh = [b for b in self.blocks if b.priority <= priority and b.number not in known]
        for block, tokens in zip(fresh, self.counter.count_many([b.text for b in fresh]), strict=True):
            block.tokens = tokens if block.slot.image is None else self.counter.count_image(block.slot.image)
            original = block.text if block.slot.image is None else self._image_source(block.slot)
            if block.tokens > (min_tokens if block.example < 0 else 0):
                layout = cached_layout(block.text, block.kind, block.tool_call_text)
                edit = BlockEdit(block, self.counter, layout, original, has_placeholder=block.example < 0)
                if edit.placeholder_tokens < block.tokens:
                    self.block_edits.append(edit)
        self._index_edits(self.block_edits)

    def _index_edits(self, edits: list[BlockEdit]) -> None:
        self.block_edits = sorted(edits, key=lambda edit: edit.block.number)
        self._example_edits = [edit for edit in self.block_edits if edit.block.example >= 0]
        self._edits_by_slot = {}
        for edit in self.block_edits:
            key = (edit.block.slot.message, edit.block.slot.path)
            self._edits_by_slot.setdefault(key, {})[edit.block.number] = edit

    def _image_source(self, slot: TextSlot) -> str:
        part: Any = self.context.messages[slot.message]
        for step in slot.path:
            part = getattr(part, str(step)) if hasattr(part, str(step)) else part[step]
        return json.dumps(part, ensure_ascii=False, default=str)

    @property
    def dropped_example_messages(self) -> set[int]:
        """Returns the messages that are examples which were not chosen.

        They leave no placeholder, because it would look like an example itself.
        """
        return {edit.block.slot.message for edit in self._example_edits if edit.action == "dropped"}

    def count_tokens(self) -> int:
        """Returns the exact tokens of the whole context in its present state."""
        dropped = self.dropped_example_messages
        total = self.before + sum(self._token_change(key) for key in self._edits_by_slot if key[0] not in dropped)
        return total - sum(map(self._turn_tokens, self.evicted | dropped))

    def message_tokens(self) -> dict[int, int]:
        """Returns the exact tokens of each message that is still in the context."""
        left_out = self.evicted | self.dropped_example_messages
        sizes = {turn.index: self._turn_tokens(turn.index) for turn in self.context.turns if turn.index not in left_out}
        for key in self._edits_by_slot:
            if key[0] in sizes:
                sizes[key[0]] += self._token_change(key)
        return sizes

    def _turn_tokens(self, message: int) -> int:
        return self.counter.count_turn(self.context.turns[message], self.context.format_name)

    def _token_change(self, key: Key) -> int:
        """Returns the tokens that a slot has gained, negative if it has lost some."""
        slot = self._slots[key][0].slot
        if slot.image is None:
            return self.counter.count(self._text(key)) - self.counter.count(slot.text)
        if all(edit.action != "dropped" for edit in self._edits_by_slot[key].values()):
            return 0
        return self.counter.count(self._text(key)) - self.counter.count_image(slot.image)

    def edits(self) -> dict[Key, str]:
        """Returns the new text of every slot that changed."""
        dropped = self.dropped_example_messages
        keys = [key for key in self._edits_by_slot if key[0] not in dropped]
        return {key: text for key in keys if (text := self._text(key)) != self._slots[key][0].slot.text}

    def _text(self, key: Key) -> str:
        edits, blocks = self._edits_by_slot[key], self._slots[key]
        text = "".join([edits[b.number].text if b.number in edits else b.text for b in blocks])
        if blocks[0].slot.kind == "tool_call" and text != blocks[0].slot.text:
            return _with_spacing_of(text, blocks[0].slot.text)
        return text

    def evict_tool_rounds(self, budget: int, pinned: Collection[int] = ()) -> None:
        """Leaves out whole tool rounds and single messages, oldest first, until the context fits.

        Args:
            budget: The maximum tokens of the whole.
            pinned: Messages to keep, even if they have no text. Messages with pinned blocks, and the calls and results
                that belong to a message that is kept, are kept anyway.
        """
        kept = {b.slot.message for b in self.blocks if b.priority == Priority.PINNED}.union(
            pinned, self.dropped_example_messages
        )
        changes: dict[int, int] = defaultdict(int)
        for key in self._edits_by_slot:
            changes[key[0]] += self._token_change(key)
        total = self.count_tokens()
        for group in group_tool_rounds(self.context.turns):
            if total <= budget:
                break
            if not kept.intersection(group):
                self.evicted.update(group)
                total -= sum(self._turn_tokens(i) + changes[i] for i in group)
        self._index_edits([edit for edit in self.block_edits if edit.block.slot.message not in self.evicted])


def _with_spacing_of(text: str, original: str) -> str:
    """Returns JSON arguments with the spaces that `json.dumps` writes, if the original has them.

    Some formats hold arguments as a dict, which is written, and counted, with those spaces.
    """
    try:
        if json.dumps(json.loads(original), ensure_ascii=False) != original:
            return text
        return json.dumps(json.loads(text), ensure_ascii=False)
    except (ValueError, RecursionError):
        return text
