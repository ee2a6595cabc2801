"""Reads files of examples: JSONL, a JSON array, or CSV with a header row."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from typing import Any

from compressor.errors import ContextError

_WRAPPERS = ("examples", "data")  # of an array in a JSON object
_DELIMITERS = ",;\t"


@dataclass
class ExampleFile:
    """The examples of a file.

    Attributes:
        name: The name of the file, for messages.
        examples: The examples.
        numbers: Where each of them is: its line, or its place in a JSON array, counted from 1.
        noun: What the numbers count: "line" or "item".
    """

    name: str
    examples: list[Any]
    numbers: list[int]
    noun: str = "line"

    def place(self, index: int) -> str:
        """Returns where an example is, for messages."""
        return f"{self.name}, {self.noun} {self.numbers[index]}"


def read_examples(data: bytes, name: str) -> ExampleFile:
    """Reads a file of examples.

    Args:
        data: The content of the file.
        name: Its name; ".csv" and ".tsv" are CSV, other files are JSON or JSONL.

    Raises:
        ContextError: If there are no examples, or if the file cannot be read; the message names the first wrong line.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ContextError(f"{name}, line {line}: not UTF-8; save the file as UTF-8") from None
    if name.lower().endswith((".csv", ".tsv")):
        found = _read_csv(text, name)
    else:
        found = _read_array(text, name) or _read_lines(text, name)
    if not found.examples:
        raise ContextError(
            f"{name} holds no examples; write one on each line (JSONL), a JSON array, or a CSV file with a header row"
        )
    return found


def _read_array(text: str, name: str) -> ExampleFile | None:
    """The items of a JSON array; None if the text is JSONL or no JSON at all."""
    stripped = text.strip()
    if stripped[:1] not in ("[", "{"):
        return None
    try:
        value = json.loads(stripped)
    except (ValueError, RecursionError):
        return None
    if isinstance(value, dict):
        inner = [value[key] for key in _WRAPPERS if len(value) == 1 and isinstance(value.get(key), list)]
        if not inner:
            return None  # one example
        value = inner[0]
    elif "\n" not in stripped and not name.lower().endswith(".json") and _is_one_example(value):
        return None  # JSONL with a single line
    return ExampleFile(name, value, list(range(1, len(value) + 1)), "item")


def _is_one_example(value: list[Any]) -> bool:
    """Whether a list is an example itself: messages, or a pair of strings."""
    is_pair = len(value) == 2 and all(isinstance(item, str) for item in value)
    are_messages = all(isinstance(item, dict) and ("role" in item or "from" in item) for item in value)
    return is_pair or (are_messages and bool(value))


def _read_lines(text: str, name: str) -> ExampleFile:
    """The values of JSONL without its blank lines."""
    found = ExampleFile(name, [], [])
    rows = [text] if text.lstrip().startswith("{") and _is_json(text) else text.split("\n")
    for number, row in enumerate(rows, 1):
        if not row.strip():
            continue
        try:
            found.examples.append(json.loads(row))
        except json.JSONDecodeError as error:
            if number == 1 and row.strip() in ("[", "{"):
                raise ContextError(f"{name} is neither JSONL nor a valid JSON array: {_whole_error(text)}") from None
            raise ContextError(
                f"{name}, line {number}, column {error.colno}: not JSON ({error.msg}); each line must hold one "
                'example, such as {"input": "…", "output": "…"}'
            ) from None
        found.numbers.append(number)
    return found


def _is_json(text: str) -> bool:
    return _whole_error(text) == ""


def _whole_error(text: str) -> str:
    """Why a text is not one JSON value; "" if it is one."""
    try:
        json.loads(text)
    except (ValueError, RecursionError) as error:
        return str(error)
    return ""


def _read_csv(text: str, name: str) -> ExampleFile:
    """The rows of a CSV file as dicts, by the names in its first row."""
    head = text.split("\n", 1)[0]
    delimiter = max(_DELIMITERS, key=head.count)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    found = ExampleFile(name, [], [])
    names: list[str] = []
    try:
        for row in rows:
            if not any(cell.strip() for cell in row):
                continue
            if not names:
                names = [cell.strip() for cell in row]
                if len(names) < 2 or not all(names) or len(set(names)) < len(names):
                    raise ContextError(
                        f"{name}, line {rows.line_num}: the first row must name the columns, such as input,output; "
                        f"it is {head.strip()[:80]!r}"
                    )
            elif len(row) != len(names):
                raise ContextError(
                    f"{name}, line {rows.line_num}: {len(row)} cells, but the first row names {len(names)} columns; "
                    'put cells with a delimiter in quotes ("…")'
                )
            else:
                found.examples.append(dict(zip(names, row, strict=True)))
                found.numbers.append(rows.line_num)
    except csv.Error as error:
        raise ContextError(f"{name}, line {rows.line_num}: not CSV ({error})") from None
    return found
