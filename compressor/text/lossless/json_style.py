"""Finds out how a JSON text was written, so that the same bytes can be written again from its value.

White space is learned by depth: what stands after an opening bracket, between items and before a closing bracket may be
another for records, lists of records and lists of plain values. Escapes are learned by character.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from compressor.text.lossless.json_values import NumberText, RepeatedKeys

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]:,]|[^\s{}\[\]:,"]+', re.S)
_ESCAPE = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\.")
_COLON = re.compile(r'"(\s*:\s*)')
#: The white space after an opening bracket, from one item to the next with its comma (None: not seen), and before the
#: closing bracket.
_Spacing = tuple[str, str | None, str]


@dataclass(frozen=True, slots=True)
class JsonStyle:
    """How a JSON text was written.

    Attributes:
        spacing: The white space by depth and shape: "{" for objects, "[" for lists of plain values, "[[" for other
            lists, "{}" and "[]" for empty ones.
        colon: The text between a key and its value.
        escapes: How each character that is escaped is written.
        separators: The separators if `json.dumps` can write the text on its own, which is faster.
        ascii: Whether it would have to escape other characters.
        between: The text between values if there are several, as in NDJSON.
        head: The text before the value: white space, or a byte order mark.
        tail: The white space after it.
        is_torn: Whether the end of the text is missing, so that what is written begins with the text.
    """

    spacing: Mapping[tuple[int, str], _Spacing]
    colon: str
    escapes: Mapping[int, str]
    separators: tuple[str, str] | None = None
    ascii: bool = False
    between: str | None = None
    head: str = ""
    tail: str = ""
    is_torn: bool = False

    def dump(self, value: Any) -> str:
        """Writes a value in this style; raises KeyError if the style does not cover it."""
        if self.between is None:
            body = self._one(value)
        else:
            body = self.between.join([self._one(v) for v in value])
        return self.head + body + self.tail

    def writes(self, value: Any, text: str) -> bool:
        """Returns whether this style writes exactly this text from the value."""
        try:
            out = self.dump(value)
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError):  # a key may be no text
            return False
        return out.startswith(text) if self.is_torn else out == text

    def _one(self, value: Any) -> str:
        if self.separators is not None:
            return json.dumps(value, separators=self.separators, ensure_ascii=self.ascii)
        return self._write(value, 1)

    def _write(self, value: Any, depth: int) -> str:
        kind = type(value)
        if kind is str:
            return self._quote(value)
        if kind is NumberText:
            return str(value)
        if kind is dict or kind is RepeatedKeys:
            items = [self._quote(k) + self.colon + self._write(v, depth + 1) for k, v in value.items()]
            return self._join("{", items, "}", "{", depth)
        if kind is list:
            shape = "[[" if value and isinstance(value[0], (dict, list, RepeatedKeys)) else "["
            return self._join("[", [self._write(v, depth + 1) for v in value], "]", shape, depth)
        return json.dumps(value)

    def _join(self, opening: str, items: list[str], closing: str, shape: str, depth: int) -> str:
        if not items:
            return opening + self.spacing[depth, opening + closing][0] + closing
        first, between, last = self.spacing[depth, shape]
        if between is None:
            if len(items) > 1:
                raise KeyError("no item after another was seen")
            between = ""
        return opening + first + between.join(items) + last + closing

    def _quote(self, text: str) -> str:
        return f'"{text.translate(self.escapes)}"'


def learn_json_style(
    text: str, body: str, lines: bool, between: str | None = None, is_torn: bool = False, is_plain: bool = False
) -> JsonStyle | None:
    """Returns the style that may write a text again; only `JsonStyle.writes` tells whether it does.

    None if there is no such style.

    Args:
        text: The text.
        body: The text without what stands around its value or values.
        lines: Whether it holds several values.
        between: What stands between them; None for a line feed or what the text shows.
        is_torn: Whether the end of the text is missing.
        is_plain: Whether only a style of `json.dumps` without indentation is looked for, which is fast.
    """
    start = text.index(body[0]) if body else 0
    head, tail = text[:start], text[start + len(body) :]
    between = (between or "\n") if lines else None
    if is_plain:
        separators = None if is_torn else _plain_separators(body, lines, between)
        if separators is None:
            return None
        return JsonStyle({}, "", {}, separators, "\\u" in body, between, head, tail)
    escapes = _learn_escapes(body)
    if escapes is None:
        return None
    source: Iterable[str] = body.split(between) if between is not None else (body,)
    spacing, colon = _learn_spacing(source)
    return JsonStyle(spacing, colon, escapes, None, False, between, head, tail, is_torn)


def _plain_separators(body: str, lines: bool, between: str | None) -> tuple[str, str] | None:
    """The separators that `json.dumps` would need, if the beginning of the text looks as if it were written by it."""
    if "\n" in body and not (lines and between is not None and "\n" in between):
        return None
    if any(s in body for s in ("\\/", "\\u003c", "\\u003e", "\\u0026", "\\u2028", "\\u2029")):
        return None
    found = _COLON.search(body)
    colon = found.group(1) if found else ":"
    if colon not in (":", ": "):
        return None
    return (", ", colon) if re.search(r'[\d"}\]el], ["\[{\dtfn-]', body[:2000]) else (",", colon)


def _learn_escapes(body: str) -> dict[int, str] | None:
    """How each escaped character is written, or None if one is written in two ways."""
    out: dict[int, str] = {}
    for spelling in set(_ESCAPE.findall(body)):
        try:
            character = json.loads(f'"{spelling}"')
        except ValueError:
            return None
        if len(character) != 1 or out.setdefault(ord(character), spelling) != spelling:
            return None
    return out


def _learn_spacing(values: Iterable[str]) -> tuple[dict[tuple[int, str], _Spacing], str]:
    """White space by depth and shape, as it stands where each is seen first."""
    found: dict[tuple[int, str], _Spacing] = {}
    colon = ":"
    for text in values:
        opened: list[list[Any]] = []  # shape, white space after the bracket, separator
        before, end, pending = "", 0, ""
        for match in _TOKEN.finditer(text):
            token = match.group()
            gap = text[end : match.start()]
            end = match.end()
            if before in ("{", "["):
                if token in ("}", "]"):
                    found.setdefault((len(opened), before + token), (gap, "", ""))
                else:
                    shape = "[[" if before == "[" and token in ("{", "[") else before
                    opened[-1] = [shape, gap, None]
            elif before == ",":
                if opened and opened[-1][2] is None:
                    opened[-1][2] = f"{pending},{gap}"
            elif before == ":":
                colon = f"{pending}:{gap}"
            if token in ("{", "["):
                opened.append(["", "", None])
            elif token in (",", ":"):
                pending = gap
            elif token in ("}", "]") and opened:
                shape, first, between = opened[-1]
                if shape:
                    _remember(found, (len(opened), shape), (first, between, gap))
                opened.pop()
            before = token
        for depth, (shape, first, between) in enumerate(opened, 1):  # torn: how it would have been closed is unknown
            if shape:
                _remember(found, (depth, shape), (first, between, ""))
    return found, colon


def _remember(found: dict[tuple[int, str], _Spacing], key: tuple[int, str], spacing: _Spacing) -> None:
    known = found.get(key)
    if known is None:
        found[key] = spacing
    elif known[1] is None and spacing[1] is not None:
        found[key] = (known[0], spacing[1], known[2])
