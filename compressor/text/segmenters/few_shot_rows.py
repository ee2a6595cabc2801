"""Examples of one line each: `a -> b`, two columns, `Input: a | Output: b`, a row of a table, a JSON record."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from compressor.text.segmenters.few_shot_json import is_list_of_examples
from compressor.text.segmenters.few_shot_lines import LineKind, TextLine, read_label
from compressor.text.segmenters.few_shot_obligations import EXCEPTION, OBLIGES_FIRST
from compressor.text.segmenters.few_shot_shape import MIN_OBLIGING, ExampleRun
from compressor.text.segmenters.few_shot_words import IN_LABELS, OUT_LABELS

MIN_ROWS = 2
_ARROW = re.compile(r"\s(?:->|=>|→|⇒|⟶|-->|==>|~>|⟹|↦)\s|(?<=\S)(?:→|⇒|⟶|⟹)(?=\S)")
_BULLET = re.compile(r"[\s>]*(?:[*•–+-][ \t]+)?(?:\(?\d{1,3}[.)][ \t]+)?")
_INLINE = re.compile(r"(?:^|[\s|,;(/])\**(?P<label>[^\W\d_][\w-]{0,20})(?: ?#?\d{1,3})?\**[:：](?=\s|[^\x00-\x7f])")
_TABLE_RULE = re.compile(r"\|?[ \t]*:?-{2,}:?[ \t]*(?:\|[ \t]*:?-{2,}:?[ \t]*)+\|?$")
_CELL = re.compile(r"(?<!\\)\|")


@dataclass(frozen=True, slots=True)
class RowList:
    """Rows that are examples.

    Attributes:
        runs: The examples. Rows that may be rules are left out.
        start: The offset of the first row, or of the table's header.
        end: The end of the last row.
        size: How many are examples.
        labels: Labels of their fields, if they have any.
    """

    runs: list[ExampleRun]
    start: int
    end: int
    size: int
    labels: tuple[str, ...] = ()


def read_rows(lines: Sequence[TextLine]) -> RowList | None:
    """Returns the list of rows with which some lines begin, or None."""
    if not lines:
        return None
    return _table(lines) or _records(lines) or _arrows(lines) or _inline(lines) or _columns(lines)


def _take(lines: Sequence[TextLine], fits: Callable[[str], bool], gaps: bool = True) -> list[TextLine]:
    rows: list[TextLine] = []
    spaced = False  # whether a blank line is between the first two
    for line in lines:
        if line.kind is LineKind.BLANK and gaps:
            if len(rows) == 1 or spaced:
                spaced = True
                continue
            break
        if line.kind is not LineKind.TEXT or not fits(line.text):
            break
        rows.append(line)
    return rows


def _row_list(rows: Sequence[TextLine], start: int, labels: tuple[str, ...] = ()) -> RowList | None:
    obliging = [_is_odd(_BULLET.sub("", row.text, count=1), labels) for row in rows]
    is_usual = len(rows) > 2 and sum(obliging) >= MIN_OBLIGING * len(rows)
    runs: list[ExampleRun] = []
    joins = False
    for row, odd in zip(rows, obliging, strict=True):
        if odd and not is_usual:
            joins = False
            continue
        if joins:
            runs[-1] = ExampleRun((*runs[-1].starts, row.start), row.end)
        else:
            runs.append(ExampleRun((row.start,), row.end))
        joins = True
    size = sum(len(run.starts) for run in runs)
    return RowList(runs, start, rows[-1].end, size, labels) if size >= MIN_ROWS else None


def _is_odd(text: str, labels: tuple[str, ...]) -> bool:
    """Whether a row may be a rule or a header: `If … -> …`, `default -> …`, `Note: … -> …`."""
    is_named = not labels and read_label(text) is not None
    return is_named or bool(OBLIGES_FIRST.match(text) or EXCEPTION.match(text)) or _is_header(text)


def _is_header(text: str) -> bool:
    """Whether a row names its columns, as `Message -> Label` does."""
    parts = [part.strip(" *_`\"'<>[]").lower() for part in _ARROW.split(text)]
    return len(parts) == 2 and parts[0] in IN_LABELS | OUT_LABELS and parts[1] in OUT_LABELS


def _arrows(lines: Sequence[TextLine]) -> RowList | None:
    first = _ARROW.search(lines[0].text)
    if first is None:
        return None
    sign = first.group().strip()

    def fits(text: str) -> bool:
        found = _ARROW.findall(text)
        if not found or {one.strip() for one in found} != {sign}:
            return False
        left, right = text.split(sign, 1)
        return bool(_BULLET.sub("", left, count=1).strip()) and bool(right.strip())

    rows = _take(lines, fits)
    return _row_list(rows, rows[0].start) if len(rows) >= MIN_ROWS else None


def _columns(lines: Sequence[TextLine]) -> RowList | None:
    count = lines[0].text.count("\t")
    if not count:
        return None
    rows = _take(
        lines, lambda text: text.count("\t") == count and all(part.strip() for part in text.split("\t")), False
    )
    return _row_list(rows, rows[0].start) if len(rows) >= MIN_ROWS else None


def _labels(text: str) -> tuple[str, ...]:
    return tuple(match["label"].lower() for match in _INLINE.finditer(_BULLET.sub("", text, count=1)))


def _inline(lines: Sequence[TextLine]) -> RowList | None:
    """`Input: a  Output: b` on one line."""
    labels = _labels(lines[0].text)
    if len(labels) < 2 or not set(labels) & OUT_LABELS or not _INLINE.match(_BULLET.sub("", lines[0].text, count=1)):
        return None
    rows = _take(lines, lambda text: _labels(text) == labels)
    return _row_list(rows, rows[0].start, labels) if len(rows) >= MIN_ROWS else None


def _table(lines: Sequence[TextLine]) -> RowList | None:
    """A table of two or more columns. Its header and rule are no rows."""
    if len(lines) < 4 or "|" not in lines[0].text or not _TABLE_RULE.match(lines[1].text):
        return None
    cells = len(_CELL.split(lines[0].text.strip("|")))
    rows = _take(lines[2:], lambda text: len(_CELL.split(text.strip("|"))) == cells, False)
    return _row_list(rows, lines[0].start) if cells > 1 and len(rows) >= MIN_ROWS else None


def _records(lines: Sequence[TextLine]) -> RowList | None:
    """One JSON object a line."""
    if not lines[0].text.startswith("{"):
        return None
    rows = _take(lines, lambda text: text.startswith("{") and text.rstrip(",").endswith("}"))
    try:
        values = [json.loads(row.text.rstrip(",")) for row in rows]
    except (ValueError, RecursionError):
        return None
    if len(rows) < MIN_ROWS or not is_list_of_examples(values) or set(values[0]) == {"role", "content"}:
        return None
    return _row_list(rows, rows[0].start)
