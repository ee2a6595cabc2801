"""A context on the table: its blocks, their drafts, and what the whole costs in its present state.

Knows slots, turns and exact counts. Chooses nothing and renders no messages.
"""

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
MIN_BLOCK_TOKENS = 24  # tokens up to which a block is left alone as long as that is possible


class WorkingContext:
    """`before` is the exact count of the untouched context, `drafts` the blocks that may be touched at the levels
    opened so far, `removed` the messages left out whole."""

    def __init__(self, context: Context, blocks: list[Block], counter: TokenCounter, before: int) -> None:
        self.context = context
        self.blocks = blocks
        self.counter = counter
        self.before = before
        self.drafts: list[BlockEdit] = []
        self.removed: set[int] = set()
        self._examples: list[BlockEdit] = []  # drafts of messages that are examples
        self._slots: dict[Key, list[Block]] = defaultdict(list)
        for block in blocks:
            self._slots[block.slot.message, block.slot.path].append(block)
        self._drafted: dict[Key, dict[int, BlockEdit]] = {}

    def unlock(self, level: int) -> None:
        """Makes drafts of all blocks up to this level which are larger than the mark that could replace them; of short
        ones, where a mark saves little, only when the last level is opened."""
        least = MIN_BLOCK_TOKENS if level < Priority.HISTORY else 0
        known = {d.block.number for d in self.drafts}
        fresh = [b for b in self.blocks if b.priority <= level and b.number not in known]
        for block, tokens in zip(fresh, self.counter.count_many([b.text for b in fresh]), strict=True):
            block.tokens = tokens if block.slot.image is None else self.counter.count_image(block.slot.image)
            original = block.text if block.slot.image is None else self._image_source(block.slot)
            if block.tokens > (least if block.example < 0 else 0):
                layout = cached_layout(block.text, block.kind, block.tool_call_text)
                draft = BlockEdit(block, self.counter, layout, original, has_placeholder=block.example < 0)
                if draft.placeholder_tokens < block.tokens:
                    self.drafts.append(draft)
        self._keep_drafts(self.drafts)

    def _keep_drafts(self, drafts: list[BlockEdit]) -> None:
        self.drafts = sorted(drafts, key=lambda d: d.block.number)
        self._examples = [d for d in self.drafts if d.block.example >= 0]
        self._drafted = {}
        for draft in self.drafts:
            key = (draft.block.slot.message, draft.block.slot.path)
            self._drafted.setdefault(key, {})[draft.block.number] = draft

    def _image_source(self, slot: TextSlot) -> str:
        part: Any = self.context.messages[slot.message]
        for step in slot.path:
            part = getattr(part, str(step)) if hasattr(part, str(step)) else part[step]
        return json.dumps(part, ensure_ascii=False, default=str)

    @property
    def dropped_example_messages(self) -> set[int]:
        """Messages that go whole because they are examples that were not chosen: a mark in the place of an example
        would be one itself."""
        return {d.block.slot.message for d in self._examples if d.action == "dropped"}

    def count_tokens(self) -> int:
        """Exact tokens of the whole context as it stands. (A count is a sum over slots and fixed parts.)"""
        gone = self.dropped_example_messages
        total = self.before + sum(self._change(key) for key in self._drafted if key[0] not in gone)
        return total - sum(map(self._turn_tokens, self.removed | gone))

    def _turn_tokens(self, message: int) -> int:
        return self.counter.count_turn(self.context.turns[message], self.context.format_name)

    def _change(self, key: Key) -> int:
        """Tokens that a slot has gained (or lost, when negative)."""
        slot = self._slots[key][0].slot
        if slot.image is None:
            return self.counter.count(self._text(key)) - self.counter.count(slot.text)
        if all(d.action != "dropped" for d in self._drafted[key].values()):
            return 0
        return self.counter.count(self._text(key)) - self.counter.count_image(slot.image)

    def edits(self) -> dict[Key, str]:
        """The new text of every slot that changed."""
        gone = self.dropped_example_messages
        keys = [key for key in self._drafted if key[0] not in gone]
        return {key: text for key in keys if (text := self._text(key)) != self._slots[key][0].slot.text}

    def _text(self, key: Key) -> str:
        drafts, blocks = self._drafted[key], self._slots[key]
        text = "".join([drafts[b.number].text if b.number in drafts else b.text for b in blocks])
        if blocks[0].slot.kind == "tool_call" and text != blocks[0].slot.text:
            return _as_dumped(text, blocks[0].slot.text)
        return text

    def evict_tool_rounds(self, budget: int, pinned: Collection[int] = ()) -> None:
        """Leaves out whole tool rounds and single turns, oldest first, until the whole fits. What is pinned stays (of
        the messages `pinned` those without any text, too), and so does every call or result that belongs to it."""
        held = {b.slot.message for b in self.blocks if b.priority == Priority.PINNED}.union(
            pinned, self.dropped_example_messages
        )
        changes: dict[int, int] = defaultdict(int)
        for key in self._drafted:
            changes[key[0]] += self._change(key)
        total = self.count_tokens()
        for group in group_tool_rounds(self.context.turns):
            if total <= budget:
                break
            if not held.intersection(group):
                self.removed.update(group)
                total -= sum(self._turn_tokens(i) + changes[i] for i in group)
        self._keep_drafts([d for d in self.drafts if d.block.slot.message not in self.removed])


def _as_dumped(text: str, original: str) -> str:
    """Arguments with the blanks that `json.dumps` writes, if the original has them: some dialects hold arguments as a
    dict, which is then written, and counted, that way."""
    try:
        if json.dumps(json.loads(original), ensure_ascii=False) != original:
            return text
        return json.dumps(json.loads(text), ensure_ascii=False)
    except (ValueError, RecursionError):
        return text
