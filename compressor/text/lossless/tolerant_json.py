"""Reads what is nearly JSON: trailing commas, comments, Python's literals, and JSON of which the end is missing.

A comment becomes a member `"//"` of its object or an item of its list, because it may be what a reader looks for. What
Python prints for a record with names, `Row(id=1, name='a')`, is read as an object with a member `"(type)"`.
"""

from __future__ import annotations

import ast
import json
import re
from dataclasses import dataclass, field
from typing import Any

from compressor.text.lossless.json_values import read_float, read_int, read_object

MAX_DEPTH = 100
COMMENT_KEY = "//"
TYPE_KEY = "(type)"
MIN_TORN_CHARS = 60  # a value of which less was read is not taken for one with its end missing
MAX_TAIL = 0.4  # fraction of what was read that may be left to the tail rather than keep an incomplete record
_SKIP = re.compile(r"[\s\ufeff]+|(?P<comment>//[^\n]*|/\*.*?\*/)", re.S)
_SKIPPED = frozenset(" \t\r\n/\ufeff\f\v\xa0")
_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[bur]?\'[^\'\\\n]*(?:\\.[^\'\\\n]*)*\'', re.S)
_NUMBER = re.compile(r"(-?(?:0|[1-9]\d*))(\.\d+)?([eE][+-]?\d+)?(?![\w.])")
_WORD = re.compile(r"(?:true|True|false|False|null|None|NaN|undefined)\b(?![(.])")
_CALL = re.compile(r"[A-Za-z_][\w.]{0,80}\([^()\n]{0,200}\)")
_RECORD = re.compile(r"([A-Za-z_][\w.]{0,80})\((?=\s*[A-Za-z_]\w*=(?!=))")
_FIELD = re.compile(r"([A-Za-z_]\w*)=(?!=)")
_WORDS = {"true": True, "True": True, "false": False, "False": False}
_CLOSING = {"{": "}", "[": "]", "(": ")", "=": ")"}  # "=" stands for a record with names


@dataclass(slots=True)
class TolerantValue:
    """A value that was read.

    Attributes:
        value: The object or list.
        end: The offset after it; of a torn value, after its last complete part.
        is_torn: Whether its end is missing.
    """

    value: Any
    end: int
    is_torn: bool


@dataclass(slots=True)
class _Open:
    """An open bracket and what is complete inside it."""

    bracket: str
    items: list[Any] = field(default_factory=list)
    key: str | None = None
    end: int = 0  # after the last complete item
    records: int = 0  # items that are objects or lists

    def close(self) -> Any:
        return read_object(self.items) if self.is_object else self.items

    @property
    def is_object(self) -> bool:
        return self.bracket in ("{", "=")


def read_tolerantly(text: str, start: int) -> TolerantValue | None:
    """Reads the object or list that begins at an offset. Returns None if there is neither. Takes linear time."""
    stack: list[_Open] = []
    at = start
    while True:
        at = _skip(text, at, stack)
        top = stack[-1] if stack else None
        character = text[at : at + 1]
        if top is not None and character == _CLOSING[top.bracket] and top.key is None:
            at += 1
            stack.pop()
            if not stack:
                return TolerantValue(top.close(), at, False)
            _add(stack[-1], top.close(), at, True)
        elif top is not None and top.bracket == "{" and top.key is None:
            found = _STRING.match(text, at)
            key = None if found is None else _string(found.group())
            colon = _skip(text, found.end(), stack) if found is not None else at
            if key is None or text[colon : colon + 1] != ":":
                return _torn(stack, start, at)
            top.key, at = key, colon + 1
            continue
        elif top is not None and top.bracket == "=" and top.key is None:
            field_name = _FIELD.match(text, at)
            if field_name is None:
                return _torn(stack, start, at)
            top.key, at = field_name.group(1), field_name.end()
            continue
        elif top is not None and (record := _RECORD.match(text, at)) is not None:
            if len(stack) >= MAX_DEPTH:
                return None
            stack.append(_Open("=", [(TYPE_KEY, record.group(1))], end=record.end()))
            at = record.end()
            continue
        elif character in ("{", "[", "(") and (stack or character != "("):
            if len(stack) >= MAX_DEPTH:
                return None
            stack.append(_Open(character, end=at + 1))
            at += 1
            continue
        elif top is None:
            return None
        else:
            read = _scalar(text, at)
            if read is None:
                return _torn(stack, start, at)
            value, at = read
            _add(top, value, at, False)
        at = _skip(text, at, stack)
        following = text[at : at + 1]
        if following == ",":
            at += 1
        elif not following or following != _CLOSING[stack[-1].bracket]:
            return _torn(stack, start, at)


def _add(parent: _Open, value: Any, end: int, is_record: bool) -> None:
    parent.items.append((parent.key, value) if parent.is_object else value)
    parent.key, parent.end = None, end
    parent.records += is_record


def _skip(text: str, at: int, stack: list[_Open]) -> int:
    """Returns the offset after white space and comments, which become parts of the innermost value."""
    while text[at : at + 1] in _SKIPPED and (found := _SKIP.match(text, at)) is not None:
        at = found.end()
        if (comment := found.group("comment")) and stack:
            words = comment[2:].removesuffix("*/").strip() if comment[1] == "*" else comment[2:].strip()
            if words:
                top = stack[-1]
                top.items.append((COMMENT_KEY, words) if top.is_object else f"{COMMENT_KEY} {words}")
    return at


def _scalar(text: str, at: int) -> tuple[Any, int] | None:
    found = _STRING.match(text, at)
    if found is not None:
        value = _string(found.group())
        return None if value is None else (value, found.end())
    found = _NUMBER.match(text, at)
    if found is not None:
        number = found.group()
        return (read_float(number) if found.group(2) or found.group(3) else read_int(number)), found.end()
    found = _WORD.match(text, at)
    if found is not None:
        return _WORDS.get(found.group()), found.end()
    found = _CALL.match(text, at)  # datetime.datetime(2024, 5, 1), Decimal('1.10')
    return None if found is None else (found.group(), found.end())


def _string(spelling: str) -> str | None:
    if spelling[0] == '"':
        try:
            value = json.loads(spelling, strict=False)
        except ValueError:
            pass
        else:
            return value if isinstance(value, str) else None
    try:
        literal = ast.literal_eval(spelling)
    except (ValueError, SyntaxError, MemoryError):
        return None
    return literal.decode("latin-1") if isinstance(literal, bytes) else str(literal)


def _torn(stack: list[_Open], start: int, at: int) -> TolerantValue | None:
    """What is complete of a value that ends before its brackets are closed.

    If the innermost records are many, what was read of the next record is left to the text that follows. Otherwise what
    is complete in the innermost bracket is kept.
    """
    if at - start < MIN_TORN_CHARS:
        return None
    chosen = len(stack) - 1
    for i, part in enumerate(stack):
        if not part.is_object and part.records > 1 and at - part.end <= MAX_TAIL * (at - start):
            chosen = i
            break
    end = stack[chosen].end
    if not stack[chosen].items:
        return None
    value = stack[chosen].close()
    for part in reversed(stack[:chosen]):
        _add(part, value, end, True)
        value = part.close()
    return TolerantValue(value, end, True)
