"""Remembers which texts and images the tool results of a conversation show, so that a new one can refer to them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import is_
from typing import Any

from compressor.context.formats.json_values import part_json
from compressor.context.model import Path, Turn
from compressor.context.refs import compute_ref
from compressor.context.tool_rounds import group_tool_rounds
from compressor.sessions.runtime import Edits
from compressor.sessions.state import MessageRecord


class EarlierResults:
    """The texts, and refs of images, of results that the view shows whole, with the ids of their calls."""

    def __init__(self) -> None:
        self._turns: list[Turn] = []  # those that were read
        self._edits: list[Edits] = []
        self._found: dict[str, str] = {}
        self._image_refs: dict[tuple[int, Path], str] = {}

    def forget_images(self) -> None:
        """Forgets the refs of images, because messages may have been written to."""
        self._image_refs = {}

    def read(self, turns: list[Turn], records: Sequence[MessageRecord], messages: Sequence[Any]) -> dict[str, str]:
        """Returns what the results in the first messages show.

        Args:
            turns: Their turns. No group of turns is divided at the end.
            records: The records of all messages.
            messages: The messages themselves.
        """
        edits = [record.edits for record in records[: len(turns)]]
        known = len(self._turns)
        # The turn of an unchanged message is the same object as before.
        if known > len(turns) or not all(map(is_, self._turns, turns)) or not all(map(is_, self._edits, edits)):
            known, self._found = 0, {}
        lead = turns[0].index if turns else 0
        for group in group_tool_rounds(turns[known:]):
            for i in (index - lead for index in group):
                if turns[i].result_call_ids and not edits[i]:
                    self._found.update(self.of_message(turns[i], records[i], messages[i]))
        self._turns, self._edits = turns, edits
        return dict(self._found)

    def of_message(self, turn: Turn, record: MessageRecord, message: Any) -> Iterator[tuple[str, str]]:
        """Yields the texts, and refs of the images, of a message's results with the ids of their calls."""
        for slot in turn.slots:
            if slot.image is not None:
                key = record.index, slot.path
                if key not in self._image_refs:
                    self._image_refs[key] = compute_ref(part_json(message, slot.path))
                yield self._image_refs[key], slot.call_id or ", ".join(turn.result_call_ids)
            elif slot.kind == "tool_result":
                yield slot.text, slot.call_id or ""
