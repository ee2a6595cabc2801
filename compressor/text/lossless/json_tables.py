"""Writes a JSON text as a shorter JSON text with the same meaning, and verifies it.

Whitespace goes, and a list of records becomes one header and rows:

    {"columns":["id","price.low",{"status":"open"}],"rows":[[1,3.5],[2,"(absent)"]]}

A column written as an object is the same in every row. `"(absent)"` is a key that the record does not have, which is
neither null nor "". An object of records gets a first column `(key)`; `(key)=id` says that the key equals that column.
A list of lists of records of one shape has `groups` of rows. A column in brackets (`["note"]`) is one that few records
have: it has no place in the rows, but stands with its name at the end of theirs (`[3,"a",{"note":"late"}]`). Absent
cells at the end of a row are left out. The result is JSON again and needs no explanation.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from json.encoder import encode_basestring as _quote
from json.encoder import encode_basestring_ascii as _quote_ascii
from math import isfinite
from typing import Any

from compressor.native import load_kernel
from compressor.text.lossless.json_style import JsonStyle, learn_json_style
from compressor.text.lossless.json_values import NumberText, RepeatedKeys, load_json, say_same
from compressor.text.lossless.table_detection import ABSENT, RecordTable, detect_table

ABSENT_CELL = '"(absent)"'
KEY_COLUMN = "(key)"
NO_PLACE = ("{", f'"={KEY_COLUMN}')  # so begin the header entries of columns without a place in the rows
MAX_DEPTH = 100
WHITE_SPACE = " \t\r\n\ufeff"  # around a value; the last is the byte order mark
_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_kernel = load_kernel("json_values")
_MISREAD = (AttributeError, IndexError, KeyError, TypeError, ValueError, RecursionError)


@dataclass(frozen=True, slots=True)
class ParsedJson:
    """The value of a JSON text.

    Attributes:
        value: The value, or the list of the values of NDJSON.
        lines: Whether the text is NDJSON.
        is_plain: Whether the text is JSON as it stands: nothing missing at the end, no comments, no other notation.
        spans: Where each of the values stands, if there are several.
        between: What stands between them, if it is always the same.
        is_torn: Whether the end of the text is missing.
    """

    value: Any
    lines: bool
    is_plain: bool = True
    spans: tuple[tuple[int, int], ...] = ()
    between: str | None = None
    is_torn: bool = False


def parse(text: str) -> ParsedJson | None:
    """Parses a JSON or NDJSON text with an object or a list; returns None for anything else or if nested too deep."""
    body = text.strip(WHITE_SPACE)
    if not body or body[0] not in "{[":
        return None
    lines = False
    try:
        value = load_json(body)
    except (ValueError, RecursionError):
        rows = body.split("\n")
        if len(rows) < 2 or not all(r[:1] in ("{", "[") for r in rows):
            return None
        try:
            value = [load_json(r) for r in rows]
        except (ValueError, RecursionError):
            return None
        lines = True
    if not isinstance(value, (dict, list, RepeatedKeys)) or is_too_deep(body):
        return None
    return ParsedJson(value, lines)


def is_too_deep(body: str) -> bool:
    """Returns whether brackets nest beyond MAX_DEPTH. Those inside strings count too, which errs on the safe side."""
    if body.count("[") + body.count("{") < MAX_DEPTH:
        return False
    return _is_nested(body, MAX_DEPTH) if _kernel is None else _kernel.is_nested(body, MAX_DEPTH)


def _is_nested(body: str, max_depth: int) -> bool:
    """Returns whether brackets nest deeper than `max_depth`."""
    depth = 0
    for m in re.finditer(r"[\[{]|[\]}]", body):
        depth += 1 if m.group() in "[{" else -1
        if depth > max_depth:
            return True
    return False


def detect_json_style(text: str, parsed: ParsedJson) -> JsonStyle | None:
    """Returns the style that writes exactly this text again from its value, or None if there is none."""
    return _find_style(text, parsed, parsed.value)


def _find_style(text: str, parsed: ParsedJson, value: Any) -> JsonStyle | None:
    """Returns the style that writes the text from this value."""
    if not parsed.is_plain and not parsed.is_torn:
        return None
    body = text.strip(WHITE_SPACE)
    for is_plain in (True, False):
        style = learn_json_style(text, body, parsed.lines, parsed.between, parsed.is_torn, is_plain)
        if style is not None and style.writes(value, text):
            return style
    return None


def encode_value(value: Any, ascii_only: bool = False) -> str:
    """Returns the encoded JSON text of a value."""
    return TableWriter(ascii_only).emit(value)


def needs_ascii(text: str) -> bool:
    """Returns whether a JSON text holds surrogates, which must stay escaped."""
    if ("\\ud" in text or "\\uD" in text) and _ESCAPED_SURROGATE.search(text):
        return True
    if text.isascii():
        return False
    try:
        text.encode()  # many times as fast as to look at every character
    except UnicodeEncodeError:
        return True
    return False


def encode(text: str) -> str | None:
    """Returns the encoded form of a JSON text, or None if it does not decode to the same bytes."""
    parsed = parse(text)
    return None if parsed is None else encode_parsed(text, parsed)


def encode_parsed(text: str, parsed: ParsedJson) -> str | None:
    """Encodes a text that is parsed already; see `encode`."""
    folded = encode_value(parsed.value, needs_ascii(text))
    if len(folded) >= len(text):
        return None
    try:
        value = decode_value(load_json(folded))
    except _MISREAD:  # data that looks like a table of ours
        return None
    return folded if _find_style(text, parsed, value) is not None else None


def encode_values(text: str, parsed: ParsedJson) -> str | None:
    """Returns the encoded form of a text that keeps all values, but not how the text was written; None if not shorter.

    The order of keys may change where records have them in different orders.
    """
    folded = TableWriter(needs_ascii(text), any_order=True).emit(parsed.value)
    if len(folded) >= len(text):
        return None
    try:
        value = decode_value(load_json(folded))
    except _MISREAD:
        return None
    return folded if say_same(value, parsed.value) else None


def decode(folded: str, style: JsonStyle) -> str:
    """Returns the exact text that `encode` was given."""
    return style.dump(decode_value(load_json(folded)))


def scalar(value: Any) -> str:
    """Returns the JSON text of a number, boolean or null; `json.dumps` takes ten times as long for these."""
    if value is None:
        return "null"
    if value is True:
        return "true"
    if value is False:
        return "false"
    if type(value) is int or (type(value) is float and isfinite(value)):
        return repr(value)
    return json.dumps(value)


#: Writes values, if the kernel is built.
VALUE_WRITER: Any = _kernel and _kernel.ValueWriter(NumberText, RepeatedKeys, detect_table, scalar, ABSENT, ABSENT_CELL)


class TableWriter:
    """Writes values in the encoded form.

    Attributes:
        quote: Writes one string.
    """

    def __init__(self, ascii_only: bool = False, any_order: bool = False) -> None:
        """Makes a writer.

        Args:
            ascii_only: Whether other characters are escaped.
            any_order: Whether records with their keys in different orders make a table as well.
        """
        self.quote: Callable[[str], str] = _quote_ascii if ascii_only else _quote
        self.any_order = any_order

    def emit(self, value: Any) -> str:
        """Returns the JSON text of a value, with tables where they fit."""
        text: str = self._write(value) if VALUE_WRITER is None else VALUE_WRITER.emit(value, self)
        return text

    def _write(self, value: Any) -> str:
        """Does what `emit` does, without the kernel."""
        kind = type(value)
        if kind is str:
            return self.quote(value)
        if kind is dict:
            if table := detect_table(value, self.any_order):
                return self._table(table)
            return "{" + ",".join([f"{self.quote(k)}:{self._write(v)}" for k, v in value.items()]) + "}"
        if kind is list:
            if table := detect_table(value, self.any_order):
                return self._table(table)
            if groups := self._groups(value):
                return groups
            return "[" + ",".join([self._write(v) for v in value]) + "]"
        if kind is NumberText:
            return str(value)
        if kind is RepeatedKeys:
            return "{" + ",".join([f"{self.quote(k)}:{self._write(v)}" for k, v in value.items()]) + "}"
        return scalar(value)

    def cells(self, column: list[Any]) -> list[str]:
        """Returns the cells of a column as JSON texts."""
        if VALUE_WRITER is None:
            return self._write_cells(column)
        texts: list[str] = VALUE_WRITER.cells(column, self)
        return texts

    def _write_cells(self, column: list[Any]) -> list[str]:
        """Does what `cells` does, without the kernel."""
        return [ABSENT_CELL if v is ABSENT else self._write(v) for v in column]

    def header(self, table: RecordTable) -> tuple[list[str], list[list[str]]]:
        """Returns the header entries and, for each entry that varies by row, its cells as texts."""
        names: list[str] = []
        columns: list[list[str]] = []
        texts = [self.cells(c) for c in table.columns]
        if table.keys is not None:
            keys = [self.quote(k) for k in table.keys]
            twin = next((n for n, t in zip(table.names, texts, strict=True) if t == keys), None)
            names.append(self.quote(KEY_COLUMN if twin is None else f"{KEY_COLUMN}={twin}"))
            columns.append(keys)
        else:
            twin = None
        for name, cells in zip(table.names, texts, strict=True):
            if name == twin:
                # The column's place among the others must be known to rebuild the record.
                names.append(self.quote(f"={KEY_COLUMN}"))
            elif len(cells) > 2 and cells.count(cells[0]) == len(cells):
                names.append(f"{{{self.quote(name)}:{cells[0]}}}")
            else:
                names.append(f"[{self.quote(name)}]" if name in table.optional else self.quote(name))
                columns.append(cells)
        return names, columns

    def _table(self, table: RecordTable) -> str:
        names, columns = self.header(table)
        return f'{{"columns":[{",".join(names)}],"rows":[{",".join(_rows(names, columns, table.height))}]}}'

    def _groups(self, value: list[Any]) -> str | None:
        """A list of lists of records of one shape: one header, the rows in groups."""
        if len(value) < 2 or not all(type(v) is list and v and type(v[0]) is dict for v in value):
            return None
        table = detect_table([r for group in value for r in group], self.any_order)
        if table is None:
            return None
        names, columns = self.header(table)
        rows = _rows(names, columns, table.height)
        groups, at = [], 0
        for group in value:
            groups.append("[" + ",".join(rows[at : at + len(group)]) + "]")
            at += len(group)
        return f'{{"columns":[{",".join(names)}],"groups":[{",".join(groups)}]}}'


def has_place(entry: str) -> bool:
    """Returns whether a header entry is of a column that has a place in the rows, or of an optional one."""
    return not entry.startswith(NO_PLACE)


def _rows(names: list[str], columns: list[list[str]], height: int) -> list[str]:
    """The rows of a table as texts."""
    if not columns:
        return ["[]"] * height
    optional = [n[1:-1] if n[0] == "[" else "" for n in names if has_place(n)]
    if not any(optional) and not any(ABSENT_CELL in column for column in columns):
        return ["[" + ",".join(row) + "]" for row in zip(*columns, strict=True)]
    return [write_row(optional, row) for row in zip(*columns, strict=True)]


def write_row(optional: Sequence[str], cells: Sequence[str], cut: int = 0, cut_sign: str = "") -> str:
    """Returns a row as JSON text.

    Args:
        optional: The name of each cell's column if it is optional, else "".
        cells: The cells.
        cut: The number of optional cells that were left out besides.
        cut_sign: The key under which that number is written.
    """
    row = [cell for name, cell in zip(optional, cells, strict=True) if not name]
    named = [f"{n}:{cell}" for n, cell in zip(optional, cells, strict=True) if n and cell != ABSENT_CELL]
    if cut:
        named.append(f'"{cut_sign}":{cut}')
    if named:
        row.append("{" + ",".join(named) + "}")
    else:
        while row and row[-1] == ABSENT_CELL:
            row.pop()
    return "[" + ",".join(row) + "]"


def decode_value(value: Any) -> Any:
    """Returns the value that was encoded. Data that only looks like a table is caught by the comparison in `encode`."""
    if isinstance(value, RepeatedKeys):
        return RepeatedKeys([(k, decode_value(v)) for k, v in value.items()])
    if isinstance(value, list):
        return [decode_value(v) for v in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"columns", "rows"}:
        return _records(value["columns"], value["rows"])
    if value.keys() == {"columns", "groups"}:
        return [_records(value["columns"], g) for g in value["groups"]]
    return {k: decode_value(v) for k, v in value.items()}


def _records(columns: list[Any], rows: list[Any]) -> Any:
    keyed = next((c for c in columns if isinstance(c, str) and c.startswith(KEY_COLUMN)), None)
    twin = keyed[len(KEY_COLUMN) + 1 :] if keyed and keyed != KEY_COLUMN else None
    out: list[dict[str, Any]] = []
    keys: list[str] = []
    absent = ABSENT_CELL[1:-1]
    places = sum(isinstance(c, str) and (twin is None or c != f"={KEY_COLUMN}") for c in columns)
    for row in rows:
        record: dict[str, Any] = {}
        at = 0
        named = row[places] if len(row) > places else {}
        for column in columns:
            if isinstance(column, list):
                if column[0] in named:
                    record[column[0]] = decode_value(named[column[0]])
                continue
            if isinstance(column, dict):
                ((name, cell),) = column.items()
                cell = decode_value(cell)
            elif column == keyed:
                keys.append(row[at])
                at += 1
                continue
            elif twin is not None and column == f"={KEY_COLUMN}":
                name, cell = twin, keys[-1]
            else:
                name, cell = column, decode_value(row[at]) if at < len(row) else absent
                at += 1
            if cell != absent:
                *path, last = name.split(".")
                place = record
                for part in path:
                    place = place.setdefault(part, {})
                place[last] = cell
        out.append(record)
    return dict(zip(keys, out, strict=True)) if keyed else out
