"""The lines of a page's text, to compare two of them: which lines differ, and what an element belongs to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from compressor.images.element_lines import PageElement, read_element, split_element_lines, without_refs

LOOKED_BACK = 30  # lines in which the owner of a value is looked for

MAX_TABLE_LINES = 500  # in which the header of a table is looked for


class PageLines:
    """The lines of one text; elements are read when they are needed."""

    def __init__(self, text: str) -> None:
        lines = split_element_lines(text)
        keys = without_refs("\n".join(lines)).split("\n")
        kept = [i for i, key in enumerate(keys) if key and not key.isspace()]
        self.lines = [lines[i] for i in kept]
        self.keys = [keys[i].strip() for i in kept]
        self._elements: dict[int, PageElement] = {}

    def __getitem__(self, index: int) -> PageElement:
        if index not in self._elements:
            self._elements[index] = read_element(self.lines[index])
        return self._elements[index]

    def around(self, changed: Sequence[int]) -> list[int]:
        """Returns these lines with the line before and after each."""
        wanted = {i for index in changed for i in (index - 1, index, index + 1) if 0 <= i < len(self.lines)}
        return sorted(wanted)

    def subtree_end(self, index: int) -> int:
        """Returns the index after the last line inside an element."""
        depth = self[index].depth
        end = index + 1
        while end < min(len(self.lines), index + 2 * LOOKED_BACK) and self[end].depth > depth:
            end += 1
        return end

    def owner(self, index: int) -> str:
        """Returns the name that an element belongs to: the label beside it, else its parent."""
        depth = self[index].depth
        for i in range(index - 1, max(-1, index - LOOKED_BACK), -1):
            other = self[i]
            if other.depth > depth or not any(map(str.isalpha, other.name)) or other.name.startswith("/"):
                continue
            if other.depth < depth or other.is_plain or other.role in ("heading", "rowheader", "label", "term"):
                return other.name
        return ""

    def column(self, index: int) -> str:
        """Returns the header of the column that a cell of a table is in; "" if there is none."""
        if self[index].role not in ("cell", "gridcell"):
            return ""
        row, place = self._place_in_row(index)
        for i in range(row - 1, max(-1, row - MAX_TABLE_LINES), -1):
            if self[i].role == "columnheader":
                first = self._place_in_row(i)[0]
                headers = [j for j in range(first + 1, i + 1) if self[j].role == "columnheader"]
                return self[headers[place]].name if place < len(headers) else ""
            if self[i].depth < self[row].depth - 4:
                break
        return ""

    def _place_in_row(self, index: int) -> tuple[int, int]:
        """The index of the line of a cell's row, and how many cells stand before it in the row."""
        depth, row = self[index].depth, index
        place = -1
        while row >= 0 and self[row].depth >= depth:
            place += self[row].depth == depth
            row -= 1
        return row, place


def differing_range(old: Sequence[str], new: Sequence[str]) -> tuple[int, int, int]:
    """Returns where the lines start to differ, and where both end alike."""
    start = 0
    while start < min(len(old), len(new)) and old[start] == new[start]:
        start += 1
    old_end, new_end = len(old), len(new)
    while min(old_end, new_end) > start and old[old_end - 1] == new[new_end - 1]:
        old_end, new_end = old_end - 1, new_end - 1
    return start, old_end, new_end


def surplus_lines(lines: Sequence[str], others: Sequence[str], start: int, end: int, other_end: int) -> list[int]:
    """Returns the indices of the lines in a range that the other range does not have, or has less often."""
    counts = Counter(lines[start:end])
    counts.subtract(others[start:other_end])
    out = []
    for index in range(start, end):
        if counts[lines[index]] > 0:
            counts[lines[index]] -= 1
            out.append(index)
    return out
