"""Views of segmented texts."""

from __future__ import annotations

from compressor.text.segmenters.base import SegmentedText


def units(found: SegmentedText) -> list[str]:
    """The texts of the units, in order."""
    return [found.text[start:end] for start, end in found.spans.tolist()]
