"""The `SegmentedText` of notations that hold records: what is kept of a record stands under its name and parents."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from compressor.context.refs import ELLIPSIS
from compressor.text.segmenters.base import Mask, Spans
from compressor.text.segmenters.span_layout import SpanLayout, gap_sign


@dataclass(frozen=True, slots=True)
class NodePieces:
    """The units of nodes, of which long ones are several: a first piece, and pieces that stand under it.

    Attributes:
        spans: [n, 2] the units.
        of: [n] the node of each unit.
        is_first: [n] whether a unit is the first piece of its node.
        first: [nodes] the first piece of each node.
    """

    spans: Spans
    of: npt.NDArray[np.int32]
    is_first: Mask
    first: npt.NDArray[np.int32]

    @staticmethod
    def cut(text: str, starts: Sequence[int], split: Callable[[str, int, int], Sequence[int]]) -> NodePieces:
        """Cuts nodes that tile a text.

        Args:
            text: The text.
            starts: [nodes] where each node begins; text before the first belongs to it.
            split: Returns the offsets inside a stretch at which it is cut.
        """
        begins: list[int] = []
        first: list[int] = []
        of: list[int] = []
        for i, (start, end) in enumerate(pairwise([*starts, len(text)])):
            a = start if i else 0
            pieces = [a, *split(text, a, end)]
            first.append(len(begins))
            begins += pieces
            of += [i] * len(pieces)
        is_first = np.zeros(len(begins), np.bool_)
        is_first[first] = True
        at = np.array(begins, np.int32)
        spans = np.stack([at, np.append(at[1:], len(text))], 1).astype(np.int32)
        return NodePieces(spans, np.array(of, np.int32), is_first, np.array(first, np.int32))

    def units(self, nodes: Sequence[int]) -> npt.NDArray[np.int32]:
        """Returns [n] the first piece of the node that is given for each unit's node; -1 stays -1."""
        named = np.array(nodes, np.int32)[self.of]
        return np.where(named >= 0, self.first[np.maximum(named, 0)], np.int32(-1)).astype(np.int32)

    def parents(self, nodes: Sequence[int]) -> npt.NDArray[np.int32]:
        """Returns [n] the parent of each unit, from the parent of each node."""
        return np.where(self.is_first, self.units(nodes), self.first[self.of]).astype(np.int32)


def _no_units() -> npt.NDArray[np.int32]:
    return np.zeros(0, np.int32)


@dataclass(slots=True, eq=False)
class RecordLayout(SpanLayout):
    """A text of records, cut into their fields.

    Attributes:
        heads: [n] the first unit of the innermost record that each unit is in, or -1.
        unit_records: [n] the unit that represents each unit's record when they are scored; see `SegmentedText.records`.
        unit_columns: [n] the index into `field_names` of each unit's field, or -1.
        field_names: The paths of the fields within their records, such as `spec.ports.port`.
    """

    heads: npt.NDArray[np.int32] = field(default_factory=_no_units)
    unit_records: npt.NDArray[np.int32] = field(default_factory=_no_units)
    unit_columns: npt.NDArray[np.int32] = field(default_factory=_no_units)
    field_names: Sequence[str] = ()

    @property
    def columns(self) -> npt.NDArray[np.int32]:
        """[n] the index into `column_names` of each unit's field, -1 outside of records."""
        return self.unit_columns

    @property
    def column_names(self) -> Sequence[str]:
        """The paths of the fields."""
        return self.field_names

    @property
    def records(self) -> npt.NDArray[np.int32]:
        """[n] the unit that represents each unit's record, or the unit itself."""
        return self.unit_records

    def render(self, keep: Mask, removed: Spans | None = None) -> str:
        """Writes the kept fields under their records' names and parents.

        A record of which fields are missing has one `…`, where the first of them stood; `… 12 more` stands for records
        that are missing altogether.

        Args:
            keep: [n] which units are kept.
            removed: [k, 2] character ranges inside kept units that are left out; see `SpanLayout.render`.
        """
        kept = self.closure(keep)
        if removed is not None and len(removed):
            return SpanLayout.render(self, keep, removed)
        if kept.all():
            return self.text
        text = self.text
        edges = np.concatenate(([0], np.flatnonzero(kept[1:] != kept[:-1]) + 1)).tolist()
        out: list[str] = []
        marked: set[int] = set()  # records that have their sign
        is_head = self.heads == np.arange(len(self.heads))
        for first, last in pairwise([*edges, len(kept)]):
            a = int(self.spans[first, 0])
            b = int(self.spans[last, 0]) if last < len(kept) else len(text)
            if kept[first]:
                out.append(text[a:b])
                continue
            head, gone = int(self.heads[first]), int(is_head[first:last].sum())
            inside = head >= 0 and not gone and bool((self.heads[first:last] == head).all())
            if inside and head in marked:
                if text[a - 1 : a] == "\n" and text[:b].endswith(("\n\n", "\n\r\n")):
                    out.append("\n")  # the blank line after the record
                continue
            if inside:
                marked.add(head)
            if gone > 1:  # the sign is as deep as the records that it stands for
                record = int(self.spans[first + int(is_head[first:last].argmax()), 0])
                a = record if text[a - 1 : a] == text[record - 1 : record] == "\n" else a
            out.append(gap_sign(text, a, b, f"{ELLIPSIS} {gone} more" if gone > 1 else ELLIPSIS))
        return "".join(out)
