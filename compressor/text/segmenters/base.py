"""What a segmenter gives: a `SegmentedText`, a text cut into units with what is needed to write it again from some of them.

Layouts know structure. They know no query, no score, no budget and no message.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntFlag
from typing import Protocol

import numpy as np
import numpy.typing as npt

Spans = npt.NDArray[np.int32]  # [n, 2] character offsets into the source text
Mask = npt.NDArray[np.bool_]  # [n]


class UnitFlag(IntFlag):
    """What a unit is, as far as its text alone tells. A unit may carry several."""

    NONE = 0
    ERROR = 1  # an error, failure, exception or fatal line; the frame lines of a traceback's end
    HEADER = 2  # heading, table header, file or hunk header: names what follows
    SIGNATURE = 4  # a definition's first line (def, class, func, ...)
    SUMMARY = 8  # a line that sums up (`3 failed, 10 passed`, `Found 66 matches`, totals)
    COMMENT = 16  # comment or docstring
    IMPORT = 32
    NOISE = 64  # progress bars, passed tests, navigation and cookie text, separators, blank lines
    WARNING = 128


class SegmentedText(Protocol):
    """A text cut into units.

    kind: "json", "log", "code", "diff", "table", "markdown", "html", "search", "trace", "prose", ...
    text: what `spans` refer to: the source text, or the units' own texts end to end where units are no stretches of it.
    spans: [n, 2] int32, in order, not overlapping: where each unit stands in `text`.
    parents: [n] int32: the unit that has to be kept if this one is (a table's header, the enclosing def), or -1.
        A parent always stands before its children.
    flags: [n] uint16 of `UnitFlag`.
    columns: [n] int32, which column of a table a unit belongs to, an index into `column_names`; -1 outside tables. A
        cell whose parent has a column, too, belongs to that unit's record.
    """

    kind: str
    text: str
    spans: Spans
    parents: npt.NDArray[np.int32]
    flags: npt.NDArray[np.uint16]

    @property
    def columns(self) -> npt.NDArray[np.int32]: ...

    @property
    def column_names(self) -> Sequence[str]: ...

    @property
    def source_spans(self) -> Sequence[Sequence[tuple[int, int]]]:
        """For each unit the stretches of the source it stands for, in order. For accounts, not for the fast path."""
        ...

    def render(self, keep: Mask) -> str:
        """The text made of the kept units (ancestors of kept units are kept too), a visible `…` where a run of
        units was left out. With everything kept: the source text, exactly."""
        ...
