"""Keeps the present text of each slot with edits, and the tokens that it has gained, while a context is compressed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from compressor.context.blocks import Block
from compressor.context.model import Path
from compressor.pipeline.block_edit import BlockEdit
from compressor.tokens import TokenCounter

Key = tuple[int, Path]


class EditedSlots:
    """The texts of the slots with edits. Only edits that changed since the last `refresh` are read and counted.

    Attributes:
        changes: The tokens that each slot has gained, negative if it has lost some.
        total: Their sum.
    """

    def __init__(
        self,
        edits: Sequence[BlockEdit],
        blocks: Mapping[Key, Sequence[Block]],
        counter: TokenCounter,
        image_edits: Mapping[Key, str],
    ) -> None:
        """Starts with untouched slots; `refresh` finds what the edits have changed already.

        Args:
            edits: The edits.
            blocks: The blocks of each slot, in order.
            counter: Counts tokens as the target model does.
            image_edits: What images have become, unless their blocks are dropped.
        """
        self._edits = edits
        self._image_edits = image_edits
        self._blocks = blocks
        self._counter = counter
        self._keys: list[Key] = [(edit.block.slot.message, edit.block.slot.path) for edit in edits]
        self._versions = [0] * len(edits)
        self._slot_edits: dict[Key, dict[int, BlockEdit]] = {}
        self._message_keys: dict[int, list[Key]] = {}
        for edit, key in zip(edits, self._keys, strict=True):
            if key not in self._slot_edits:
                self._slot_edits[key] = {}
                self._message_keys.setdefault(key[0], []).append(key)
            self._slot_edits[key][edit.block.number] = edit
        # Whether a slot's text is that of its only block, as the block has it.
        self._is_whole = [
            len(blocks[key]) == 1 and edit.block.slot.image is None and edit.block.slot.kind != "tool_call"
            for edit, key in zip(edits, self._keys, strict=True)
        ]
        self._texts: dict[Key, str | None] = {}  # of slots that changed, None until the text is needed
        self.changes: dict[Key, int] = dict.fromkeys(self._slot_edits, 0)
        self.total = 0
        for key, text in image_edits.items():
            if key not in self.changes:
                self._message_keys.setdefault(key[0], []).append(key)
                self.changes[key] = 0
            slot = blocks[key][0].slot
            self._set_change(key, counter.count_edit(slot, text) - counter.count_slot(slot))

    def refresh(self) -> bool:
        """Counts the slots whose edits have changed, and returns whether there are any."""
        versions = [edit.version for edit in self._edits]
        if versions == self._versions:
            return False
        changed = [i for i, (new, old) in enumerate(zip(versions, self._versions, strict=True)) if new != old]
        self._versions = versions
        counted: dict[Key, str] = {}
        for i in changed:
            key, edit = self._keys[i], self._edits[i]
            self._texts[key] = None
            if not self._is_whole[i]:
                counted[key] = self._text(key)
            elif (tokens := edit.known_tokens) is not None:
                self._set_change(key, tokens - edit.block.tokens)
            else:
                counted[key] = self._texts[key] = edit.text
        for key, tokens in zip(counted, self._counter.count_many(list(counted.values())), strict=True):
            self._set_change(key, self._change(key, tokens))
        return True

    def change_of(self, message: int) -> int:
        """Returns the tokens that the slots of a message have gained."""
        return sum(self.changes[key] for key in self._message_keys.get(message, ()))

    def changed_text(self, key: Key) -> str | None:
        """Returns the text of a slot if it is not the one it came with, else None."""
        if key not in self._texts:
            return self._image_edits.get(key)
        text = self._text(key)
        if key in self._image_edits and not self._is_dropped(key):
            return self._image_edits[key]
        return None if text == self._blocks[key][0].slot.text else text

    def _change(self, key: Key, tokens: int) -> int:
        slot = self._blocks[key][0].slot
        if slot.image is None:
            return tokens - self._counter.count(slot.text)
        if not self._is_dropped(key):
            known = self._image_edits.get(key)
            tokens = self._counter.count_slot(slot) if known is None else self._counter.count_edit(slot, known)
        return tokens - self._counter.count_image(slot.image)

    def _is_dropped(self, key: Key) -> bool:
        return any(edit.action == "dropped" for edit in self._slot_edits[key].values())

    def _set_change(self, key: Key, change: int) -> None:
        self.total += change - self.changes[key]
        self.changes[key] = change

    def _text(self, key: Key) -> str:
        text = self._texts[key]
        if text is None:
            text = self._texts[key] = self._join(key)
        return text

    def _join(self, key: Key) -> str:
        edits, blocks = self._slot_edits[key], self._blocks[key]
        text = "".join([edits[b.number].text if b.number in edits else b.text for b in blocks])
        if blocks[0].slot.kind == "tool_call" and text != blocks[0].slot.text:
            return _with_spacing_of(text, blocks[0].slot.text)
        return text


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
