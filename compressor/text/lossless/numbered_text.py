"""A text split into lines, with the stretches of it in which lines are numbered."""

from __future__ import annotations

from bisect import bisect_right
from functools import cached_property

from compressor.text.lossless.line_numbers import LineNumberStyle, NumberedLines, find_style, windows


class NumberedText:
    """A text whose lines and numbers are read when they are asked for.

    Attributes:
        text: The text.
    """

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def lines(self) -> list[str]:
        """Returns the lines."""
        return self.text.split("\n")

    @cached_property
    def style(self) -> LineNumberStyle | None:
        """Returns how the lines are numbered, or None if they are not."""
        return find_style(self.text)

    @cached_property
    def windows(self) -> list[NumberedLines]:
        """Returns the runs of two numbered lines and more."""
        found = windows(self.lines, self.style) if self.style else ()
        return [w for w in found if w.stop - w.start > 1]

    @cached_property
    def _starts(self) -> list[int]:
        return [w.start for w in self.windows]

    def around(self, line: int) -> tuple[NumberedLines | None, int]:
        """Returns the window that holds a line, if any, and where it (or the stretch without one) stops."""
        k = bisect_right(self._starts, line)
        if k and line < self.windows[k - 1].stop:
            return self.windows[k - 1], self.windows[k - 1].stop
        return None, self.windows[k].start if k < len(self.windows) else len(self.lines)

    def numbered(self, first: int, last: int) -> NumberedLines | None:
        """Returns the first window that holds the lines numbered `first` to `last`."""
        return next((w for w in self.windows if w.number <= first and last < w.number + w.stop - w.start), None)
