"""Numbers the images of a session, so that a note about one means the same after any number of compactions."""

from __future__ import annotations

from collections.abc import Iterable

from compressor.context.model import Turn
from compressor.sessions.state import MessageRecord


def first_image_numbers(turns: Iterable[Turn], records: Iterable[MessageRecord], lead: int = 0) -> dict[int, int]:
    """Returns the number in the session of the first image of each message that holds one.

    Args:
        turns: The messages.
        records: Their records.
        lead: The number of messages in front of them.
    """
    numbers: dict[int, int] = {}
    for i, (turn, record) in enumerate(zip(turns, records, strict=True)):
        count = sum(slot.image is not None for slot in turn.slots)
        if 0 < count <= record.images:  # a record of an older program has no number
            numbers[lead + i] = record.images - count + 1
    return numbers
