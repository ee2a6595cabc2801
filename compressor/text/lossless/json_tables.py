"""Writes a JSON text as a shorter JSON text with the same meaning, and verifies it.

Whitespace goes, and a list of records becomes one header and rows:

    {"columns":["id","price.low",{"status":"open"}],"rows":[[1,3.5],[2,"(absent)"]]}

A column written as an object is the same in every row. `"(absent)"` is a key that the record does not have, which is
neither null nor "". An object of records gets a first column `(key)`; `(key)=id` says that the key equals that column.
A list of lists of records of one shape has `groups` of rows. The result is JSON again and needs no explanation.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from json.encoder import encode_basestring as _quote
from json.encoder import encode_basestring_ascii as _quote_ascii
from math import isfinite
from typing import Any

from compressor.text.lossless.table_detection import ABSENT, RecordTable, detect_table

ABSENT_CELL = '"(absent)"'
KEY_COLUMN = "(key)"
MAX_DEPTH = 100
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]|[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class JsonStyle:
    """How a JSON text was written, so that `json.dumps` can write the same bytes again.

    Attributes:
        indent: The indentation.
        separators: The separators of items and of keys.
        ascii: Whether other characters were escaped.
        lines: True for NDJSON, one value a line.
        head: The whitespace before the value.
        tail: The whitespace after it.
    """

    indent: int | str | None
    separators: tuple[str, str]
    ascii: bool
    lines: bool = False
    head: str = ""
    tail: str = ""

    def dump(self, value: Any) -> str:
        """Writes a value in this style."""
        if self.lines:
            body = "\n".join(self._one(v) for v in value)
        else:
            body = self._one(value)
        return self.head + body + self.tail

    def _one(self, value: Any) -> str:
        return json.dumps(value, indent=self.indent, separators=self.separators, ensure_ascii=self.ascii)


@dataclass(frozen=True, slots=True)
class ParsedJson:
    """The value of a JSON text.

    Attributes:
        value: The value, or the list of the values of NDJSON.
        lines: Whether the text is NDJSON.
    """

    value: Any
    lines: bool


def parse(text: str) -> ParsedJson | None:
    """Parses a JSON or NDJSON text with an object or a list; returns None for anything else or if nested too deep."""
    body = text.strip()
    if not body or body[0] not in "{[":
        return None
    lines = False
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        rows = body.split("\n")
        if len(rows) < 2 or not all(r[:1] in ("{", "[") for r in rows):
            return None
        try:
            value = [json.loads(r) for r in rows]
        except (ValueError, RecursionError):
            return None
        lines = True
    if not isinstance(value, (dict, list)) or _too_deep(body):
        return None
    return ParsedJson(value, lines)


def _too_deep(body: str) -> bool:
    """Whether brackets (those inside strings counted too, which errs on the safe side) nest beyond MAX_DEPTH."""
    if body.count("[") + body.count("{") < MAX_DEPTH:
        return False
    depth = 0
    for m in re.finditer(r"[\[{]|[\]}]", body):
        depth += 1 if m.group() in "[{" else -1
        if depth > MAX_DEPTH:
            return True
    return False


def detect_json_style(text: str, parsed: ParsedJson) -> JsonStyle | None:
    """Returns the style that writes exactly this text again from its value, or None if there is none."""
    body, value, lines = text.strip(), parsed.value, parsed.lines
    start = text.index(body[0])
    head, tail = text[:start], text[start + len(body) :]
    ascii_only = "\\u" in body
    indent: int | str | None = None
    if "\n" in body and not lines:
        m = re.match(r"[\[{]\n([ \t]+)", body)
        if m is None:
            return None
        indent = m.group(1) if "\t" in m.group(1) else len(m.group(1))
        tried = [(",", ": ")]
    else:
        tried = [(", ", ": "), (",", ":"), (",", ": ")]
    for separators in tried:
        style = JsonStyle(indent, separators, ascii_only, lines, head, tail)
        try:
            if style.dump(value) == text:
                return style
        except (ValueError, RecursionError):
            return None
    return None


def encode_value(value: Any, ascii_only: bool = False) -> str:
    """Returns the encoded JSON text of a value."""
    return TableWriter(ascii_only).emit(value)


def needs_ascii(text: str) -> bool:
    """Returns whether a JSON text holds lone surrogates, which must stay escaped."""
    return _SURROGATE.search(text) is not None


def encode(text: str) -> str | None:
    """Returns the encoded form of a JSON text, or None if it does not decode to the same bytes."""
    parsed = parse(text)
    return None if parsed is None else encode_parsed(text, parsed)


def encode_parsed(text: str, parsed: ParsedJson) -> str | None:
    """Encodes a text that is parsed already; see `encode`."""
    folded = encode_value(parsed.value, needs_ascii(text))
    if len(folded) >= len(text):
        return None
    style = detect_json_style(text, parsed)
    return folded if style is not None and decode(folded, style) == text else None


def decode(folded: str, style: JsonStyle) -> str:
    """Returns the exact text that `encode` was given."""
    return style.dump(decode_value(json.loads(folded)))


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


class TableWriter:
    """Writes values in the encoded form.

    Attributes:
        quote: Writes one string.
    """

    def __init__(self, ascii_only: bool = False) -> None:
        self.quote: Callable[[str], str] = _quote_ascii if ascii_only else _quote

    def emit(self, value: Any) -> str:
        """Returns the JSON text of a value, with tables where they fit."""
        kind = type(value)
        if kind is str:
            return self.quote(value)
        if kind is dict:
            if table := detect_table(value):
                return self._table(table)
            return "{" + ",".join([f"{self.quote(k)}:{self.emit(v)}" for k, v in value.items()]) + "}"
        if kind is list:
            if table := detect_table(value):
                return self._table(table)
            if groups := self._groups(value):
                return groups
            return "[" + ",".join([self.emit(v) for v in value]) + "]"
        return scalar(value)

    def cells(self, column: list[Any]) -> list[str]:
        """Returns the cells of a column as JSON texts."""
        return [ABSENT_CELL if v is ABSENT else self.emit(v) for v in column]

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
                names.append(self.quote(name))
                columns.append(cells)
        return names, columns

    def _table(self, table: RecordTable) -> str:
        names, columns = self.header(table)
        if columns:
            rows = ",".join(["[" + ",".join(row) + "]" for row in zip(*columns, strict=True)])
        else:
            rows = ",".join(["[]"] * table.height)
        return f'{{"columns":[{",".join(names)}],"rows":[{rows}]}}'

    def _groups(self, value: list[Any]) -> str | None:
        """A list of lists of records of one shape: one header, the rows in groups."""
        if len(value) < 2 or not all(type(v) is list and v and type(v[0]) is dict for v in value):
            return None
        table = detect_table([r for group in value for r in group])
        if table is None:
            return None
        names, columns = self.header(table)
        rows = ["[" + ",".join(row) + "]" for row in zip(*columns, strict=True)] or ["[]"] * table.height
        groups, at = [], 0
        for group in value:
            groups.append("[" + ",".join(rows[at : at + len(group)]) + "]")
            at += len(group)
        return f'{{"columns":[{",".join(names)}],"groups":[{",".join(groups)}]}}'


def decode_value(value: Any) -> Any:
    """Returns the value that was encoded. Data that only looks like a table is caught by the comparison in `encode`."""
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
    for row in rows:
        record: dict[str, Any] = {}
        at = 0
        for column in columns:
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
                name, cell = column, decode_value(row[at])
                at += 1
            if cell != absent:
                *path, last = name.split(".")
                place = record
                for part in path:
                    place = place.setdefault(part, {})
                place[last] = cell
        out.append(record)
    return dict(zip(keys, out, strict=True)) if keyed else out
