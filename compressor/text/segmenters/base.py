"""The result of a segmenter: `SegmentedText`, a text divided into units that can be written again from some of them."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntFlag
from typing import Protocol, TypeGuard, runtime_checkable

import numpy as np
import numpy.typing as npt

Spans = npt.NDArray[np.int32]  # [n, 2] character offsets into the source text
Mask = npt.NDArray[np.bool_]  # [n]


class UnitFlag(IntFlag):
    """What a unit is, judged by its text alone. A unit may carry several flags."""

    ERROR = 1  # an error, failure, exception or fatal line; the frame lines of a traceback's end
    HEADER = 2  # heading, table header, file or hunk header: it names what follows
    SIGNATURE = 4  # a definition's first line (def, class, func, ...)
    SUMMARY = 8  # a line that sums up (`3 failed, 10 passed`, `Found 66 matches`, totals)
    COMMENT = 16  # comment or docstring
    IMPORT = 32
    NOISE = 64  # progress bars, passed tests, navigation and cookie text, separators, blank lines
    WARNING = 128
    CHANGE = 256  # changed lines of a diff: what a diff is read for


def table_records(columns: npt.NDArray[np.int32], parents: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """Returns [n] the identity cell of each cell's row; a cell is in the row of its parent if that has a column too."""
    out = np.arange(len(columns), dtype=np.int32)
    cell = np.flatnonzero((columns >= 0) & (parents >= 0))
    cell = cell[columns[parents[cell]] >= 0]
    out[cell] = parents[cell]
    return out


class SegmentedText(Protocol):
    """A text divided into n units.

    Attributes:
        kind: "json", "log", "code", "diff", "table", "markdown", "html", "search", "trace", "prose", ...
        text: The text that `spans` refer to: the source text, or the texts of the units end to end where a unit is not
            one range of the source.
        spans: [n, 2] int32, in order and without overlap: the place of each unit in `text`.
        parents: [n] int32: the unit that must be kept if this one is (a table's header, the enclosing def), or -1. A
            parent always comes before its children.
        flags: [n] uint16 of `UnitFlag`.
    """

    kind: str
    text: str
    spans: Spans
    parents: npt.NDArray[np.int32]
    flags: npt.NDArray[np.uint16]

    @property
    def size_bytes(self) -> int:
        """About how many bytes of memory it holds, with its texts and with what it computes later. It never changes."""
        ...

    @property
    def columns(self) -> npt.NDArray[np.int32]:
        """[n] the index into `column_names` of each unit's column or field, -1 outside tables and records."""
        ...

    @property
    def column_names(self) -> Sequence[str]:
        """The names of the columns."""
        ...

    @property
    def records(self) -> npt.NDArray[np.int32]:
        """[n] the unit that represents each unit's record (a table's row, an item of a list), or the unit itself."""
        ...

    @property
    def source_spans(self) -> Sequence[Sequence[tuple[int, int]]]:
        """The ranges of the source that each unit stands for, in order. For reports; too slow for the main path."""
        ...

    def render(self, keep: Mask) -> str:
        """Writes the text from the kept units and their ancestors, with a visible `…` for each run left out.

        Args:
            keep: [n] which units are kept.

        Returns:
            The text; the exact source text if everything is kept.
        """
        ...


@runtime_checkable
class EncodableText(Protocol):
    """What a `SegmentedText` has besides if it can be written shorter with all its values: if it is or holds JSON."""

    def encode_exactly(self) -> str | None:
        """Returns a shorter text from which the source can be rebuilt, or None."""
        ...

    def encode_values(self) -> str | None:
        """Returns a shorter text with all values, of which the way it was written is lost, or None."""
        ...


def is_encodable(text: object) -> TypeGuard[EncodableText]:
    """Returns whether this is an `EncodableText`, as `isinstance` does, which takes 30 times as long."""
    known = _ENCODABLE.get(type(text))
    if known is None:
        known = _ENCODABLE[type(text)] = isinstance(text, EncodableText)
    return known


_ENCODABLE: dict[type, bool] = {}  # by the few classes that there are
