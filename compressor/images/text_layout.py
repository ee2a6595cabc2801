"""Lays out the words on a picture as text: rows from top to bottom, cells from left to right, tables in columns."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence

from compressor.images.ocr import OcrWord

_SEPARATOR = " | "
#: A gap of this many heights of a word begins a new cell. The space between two words is half a height at most.
_CELL_GAP = 1.5
#: Words belong to one row if they overlap by at least this fraction of the smaller one's height.
_OVERLAP = 0.5
#: Rows of two columns of prose: this many words in two cells.
_PROSE_WORDS = 6
_MAX_PROSE_ROWS = 0.15
#: Rows of one cell are indented by at most that many spaces. Code needs its indents.
_MAX_INDENT = 24

Cell = list[OcrWord]
Row = list[Cell]


def lay_out(words: Sequence[OcrWord]) -> str | None:
    """Returns words as text in reading order.

    Args:
        words: The words of a picture.

    Returns:
        One row a line. Cells are separated by " | ", and rows of a table have the same columns. Rows of one cell are
        indented as on the picture. None if the words are set in columns of prose, which rows would mix up.
    """
    rows = [_split_cells(row) for row in _group_rows(words)]
    prose = sum(sum(len(cell) >= _PROSE_WORDS for cell in row) >= 2 for row in rows)
    if prose > _MAX_PROSE_ROWS * len(rows):
        return None
    left = min((word.box.left for word in words), default=0)
    widths = sorted(word.box.width / len(word.text) for word in words)
    width = max(1.0, widths[len(widths) // 2]) if widths else 1.0
    lines: list[str] = []
    table: list[Row] = []
    for row in [*rows, []]:
        if len(row) >= 2:
            table.append(row)
            continue
        lines += _write_table(table)
        table = []
        if row:
            indent = round((row[0][0].box.left - left) / width)
            lines.append(" " * min(indent, _MAX_INDENT) + _write_cell(row[0]))
    return "\n".join(lines)


def _group_rows(words: Sequence[OcrWord]) -> list[list[OcrWord]]:
    """Returns the words of each row, from top to bottom. Rows overlap less than their words do."""
    rows: list[list[OcrWord]] = []
    spans: list[tuple[float, float]] = []
    for word in sorted(words, key=lambda w: (w.box.top + w.box.bottom, w.box.left)):
        top, bottom = word.box.top, word.box.bottom
        for i in range(len(rows) - 1, max(-1, len(rows) - 4), -1):
            low, high = spans[i]
            common = min(bottom, high) - max(top, low)
            if common >= _OVERLAP * max(1, min(bottom - top, high - low)):
                rows[i].append(word)
                count = len(rows[i])
                spans[i] = (low + (top - low) / count, high + (bottom - high) / count)
                break
        else:
            rows.append([word])
            spans.append((top, bottom))
    return [sorted(row, key=lambda w: w.box.left) for row in rows]


def _split_cells(row: Sequence[OcrWord]) -> Row:
    heights = sorted(word.height for word in row)
    gap = _CELL_GAP * heights[len(heights) // 2]
    cells: Row = [[row[0]]]
    for left, right in itertools.pairwise(row):
        if right.box.left - left.box.right > gap:
            cells.append([right])
        else:
            cells[-1].append(right)
    return cells


def _write_table(rows: Sequence[Row]) -> list[str]:
    """Returns the lines of rows of several cells. A cell that a row lacks is empty."""
    if len(rows) < 2:
        return [_SEPARATOR.join(map(_write_cell, row)) for row in rows]
    columns = _find_columns(rows)
    lines = []
    for row in rows:
        if len(row) == len(columns):
            lines.append(_SEPARATOR.join(map(_write_cell, row)))
            continue
        texts = [""] * len(columns)
        for cell in row:
            centre = (cell[0].box.left + cell[-1].box.right) / 2
            at = min(range(len(columns)), key=lambda i: _distance(centre, columns[i]))
            texts[at] = f"{texts[at]} {_write_cell(cell)}".strip()
        lines.append(_SEPARATOR.join(texts).rstrip())
    return lines


def _find_columns(rows: Sequence[Row]) -> list[tuple[int, int]]:
    """Returns left and right of each column: those of the rows with the most common number of cells."""
    common, _ = max(Counter(map(len, rows)).items(), key=lambda item: (item[1], item[0]))
    full = [row for row in rows if len(row) == common]
    return [(min(row[i][0].box.left for row in full), max(row[i][-1].box.right for row in full)) for i in range(common)]


def _distance(centre: float, column: tuple[int, int]) -> float:
    return max(column[0] - centre, centre - column[1], 0)


def _write_cell(cell: Cell) -> str:
    return " ".join(word.text for word in cell)
