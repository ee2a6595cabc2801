"""Finds screenshots that differ little from later ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from compressor.images.changed_text import frame_changes
from compressor.images.frames import Frame
from compressor.images.known_image import KnownImage

if TYPE_CHECKING:
    from compressor.images.differences import Changes


@dataclass(frozen=True, slots=True)
class Repeat:
    """What tells an image from another one.

    Attributes:
        index: Which of the other images it resembles.
        changes: What differs in it from the other one.
    """

    index: int
    changes: Changes

    def describe(self, frame: Frame, other: Frame) -> str:
        """Returns the difference in words, to stand behind "as image 7"."""
        offset = self.changes.scroll_offset
        scrolled = f" scrolled {'down' if offset > 0 else 'up'} by {abs(offset)} px" if offset else ""
        words = frame_changes(other, frame)
        return f"{scrolled}, changed: {words}" if words else scrolled


def find_near_repeat(image: KnownImage, others: Sequence[KnownImage], max_compared: int) -> Repeat | None:
    """Returns which other image shows nearly the same, pixel by pixel, and where they differ.

    Args:
        image: The image.
        others: What it may resemble, in the order in which they are preferred when equally near.
        max_compared: How many of them to compare pixel by pixel.
    """
    from compressor.images.differences import find_changes
    from compressor.images.fingerprint import NEAR_DISTANCE
    from compressor.images.owners import with_owners

    if (own := image.findings) is None:
        return None
    near: list[tuple[float, int]] = []
    for i, other in enumerate(others):
        found = other.findings
        if found is not None and (found.width, found.height) == (own.width, own.height):
            apart = own.fingerprint.distance(found.fingerprint)
            if apart <= NEAR_DISTANCE:
                near.append((apart, i))
    for _, i in sorted(near)[:max_compared]:
        mine, theirs = image.picture, others[i].picture
        if mine is None or theirs is None:
            continue
        changes = find_changes(theirs, mine)
        if changes is not None:
            return Repeat(i, replace(changes, boxes=with_owners(changes.boxes, mine.grey)))
    return None


def looks_alike(one: KnownImage, other: KnownImage) -> bool:
    """Returns whether two images may show the same page."""
    from compressor.images.fingerprint import NEAR_DISTANCE

    first, second = one.findings, other.findings
    if first is None or second is None:
        return False
    return first.fingerprint.distance(second.fingerprint) <= NEAR_DISTANCE
