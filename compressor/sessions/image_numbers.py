"""Numbers the images of a session, so that a note about one means the same after any number of compactions."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from compressor.context.image_edits import parse_picture_edit
from compressor.context.model import Turn
from compressor.sessions.state import MessageRecord


def number_images(
    turns: Iterable[Turn], records: Iterable[MessageRecord], lead: int = 0, viewed: Collection[int] = ()
) -> dict[int, list[int]]:
    """Returns the numbers in the session of the images of each message that holds any.

    Args:
        turns: The original messages.
        records: Their records.
        lead: The number of messages in front of them.
        viewed: The positions of those that are read as the view shows them, so that only images count that are shown.
    """
    numbers: dict[int, list[int]] = {}
    for i, (turn, record) in enumerate(zip(turns, records, strict=True)):
        images = [slot for slot in turn.slots if slot.image is not None]
        if not 0 < len(images) <= record.images:  # a record of an older program has no number
            continue
        edits = record.edits if i in viewed else {}
        numbers[lead + i] = [
            number
            for number, slot in enumerate(images, record.images - len(images) + 1)
            if slot.path not in edits or parse_picture_edit(edits[slot.path]) is not None
        ]
    return numbers
