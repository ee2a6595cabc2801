"""Parses a request body, and remembers which of its characters are which message.

Unchanged parts are forwarded in the very characters that arrived: numbers, escapes, duplicate keys inside a message,
white space. Messages that were in an earlier body are not parsed again: they are the same objects, which nobody
modifies. Their replacements are not encoded again either.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import Any

from compressor.service.http_errors import HttpError, json_bytes
from compressor.service.request_limits import check_depth, parse

Span = tuple[int, int]
_LISTS = ("messages", "input", "tools")  # lists whose items are tracked one by one
_TURNS = ("messages", "input")  # lists that may begin like those of an earlier body
_blank = re.compile(r"[ \t\n\r]*").match


class RequestBody:
    """A JSON object with the places of its parts.

    Attributes:
        data: The parsed object.
        text: Its characters, "" if the places of its parts are not known.
        first: The characters of its first message that is not the system's.
        size: The size of the body in bytes.
        known_size: How many of its characters were in an earlier body.
    """

    def __init__(
        self,
        data: Any,
        text: str,
        places: dict[str, Span],
        items: dict[str, list[Span]],
        first: str = "",
        earlier: RequestBody | None = None,
    ) -> None:
        self.data, self.text, self.first, self.size, self.known_size = data, text, first, 0, 0
        self._places, self._items = places, items
        # Items that are not in `data` and were encoded last, with their JSON, by object id.
        self._encoded: dict[int, tuple[Any, str]] = {} if earlier is None else earlier._encoded

    def encode(self, made: dict[str, Any]) -> bytes:
        """Encodes a changed copy of `data`. Parts that are the same objects keep their characters.

        Raises:
            ValueError: JSON cannot represent a value.
        """
        if made is self.data and self.text:
            return self.text.encode("utf-8", "surrogatepass")
        if not self.text or not self._places or any(key not in made for key in self._places):
            return json_bytes(made)
        parts, at = [], 0
        new: dict[int, tuple[Any, str]] = {}
        for key, (start, stop) in self._places.items():
            if made[key] is not self.data[key]:
                parts += [self.text[at:start], self._value(key, made[key], new)]
                at = stop
        self._encoded = new
        end = self.text.rindex("}")
        more = [f",{_json(key)}:{_json(value)}" for key, value in made.items() if key not in self._places]
        return "".join([*parts, self.text[at:end], *more, self.text[end:]]).encode("utf-8", "surrogatepass")

    def _value(self, key: str, made: Any, new: dict[int, tuple[Any, str]]) -> str:
        """Encodes a value of the body. Items of the old list are copied in long runs; others are noted in `new`."""
        spans = self._items.get(key)
        if spans is None or not isinstance(made, list):
            return _json(made)
        old: list[Any] = self.data[key]
        places: dict[int, int] = {}
        parts: list[str] = []
        begin = end = 0  # a run of the old list that is copied
        for item in made:
            if begin < end < len(old) and item is old[end]:
                end += 1
                continue
            if begin < end:
                parts.append(self.text[spans[begin][0] : spans[end - 1][1]])
            places = places or {id(one): number for number, one in enumerate(old)}
            begin = places.get(id(item), -1)
            end = begin + 1
            if begin < 0:
                new[id(item)] = self._encoded.get(id(item)) or (item, _json(item))
                parts.append(new[id(item)][1])
                begin = end
        if begin < end:
            parts.append(self.text[spans[begin][0] : spans[end - 1][1]])
        return f"[{','.join(parts)}]"


def read_body(raw: bytes, depth: int, similar: Callable[[str], Iterable[RequestBody]]) -> RequestBody:
    """Parses a body.

    Args:
        raw: The bytes of the body.
        depth: How deep its JSON may be nested.
        similar: Returns earlier bodies by the text of their first message that is not the system's.

    Raises:
        HttpError: 400 for invalid JSON, for JSON that is nested too deep, is not an object, or has a duplicate key.
    """
    try:
        text = raw.decode("utf-8", "surrogatepass")
        reader = _Reader(text, depth, similar)
        made = reader.body()
        made.known_size = reader.known_size
    except (ValueError, IndexError, RecursionError):  # invalid, or in another encoding
        data = parse(raw, depth)
        if not isinstance(data, dict):
            raise HttpError(400, "no_object", "The request body must be a JSON object") from None
        made = RequestBody(data, "", {}, {})
    made.size = len(raw)
    return made


class _Reader:
    """Parses the top level of a body itself, and leaves the values to the standard decoder."""

    def __init__(self, text: str, depth: int, similar: Callable[[str], Iterable[RequestBody]]) -> None:
        self._text, self._depth, self._similar = text, depth, similar
        self._first, self.known_size = "", 0
        self._known: RequestBody | None = None
        self._value = json.JSONDecoder(parse_constant=_reject_constant).raw_decode

    def body(self) -> RequestBody:
        text = self._text
        data: dict[str, Any] = {}
        places: dict[str, Span] = {}
        items: dict[str, list[Span]] = {}
        at = self._expect(self._skip(0), "{")
        while text[at] != "}":
            if places:
                at = self._expect(at, ",")
            key, at = self._value(text, at)
            start = self._expect(self._skip(at), ":")
            if not isinstance(key, str):
                raise ValueError
            if key in data:
                raise HttpError(400, "invalid_json", f"The request body has the key {key!r:.100} twice")
            if key in _LISTS and text[start] == "[":
                data[key], items[key], stop = self._list(key, start)
            else:
                data[key], stop = self._value(text, start)
                self._check(data[key], 1)
            places[key] = start, stop
            at = self._skip(stop)
        if self._skip(at + 1) != len(text):
            raise ValueError
        return RequestBody(data, text, places, items, self._first, self._known)

    def _list(self, key: str, start: int) -> tuple[list[Any], list[Span], int]:
        text = self._text
        found: list[Any] = []
        spans: list[Span] = []
        has_looked = key not in _TURNS
        at = self._skip(start + 1)
        while text[at] != "]":
            if found:
                at = self._expect(at, ",")
            item, stop = self._value(text, at)
            self._check(item, 2)
            found.append(item)
            spans.append((at, stop))
            if not has_looked and not _is_system(item):
                has_looked, self._first = True, text[at:stop]
                self._earlier(key, start, found, spans)
                stop = spans[-1][1]
            at = self._skip(stop)
        return found, spans, at + 1

    def _earlier(self, key: str, start: int, found: list[Any], spans: list[Span]) -> None:
        """Takes over the leading messages that are the same characters in an earlier body."""
        best, known, shift = 0, None, 0
        for body in self._similar(self._first):
            theirs = body._items.get(key)
            if theirs:
                begin = body._places[key][0]
                count = _count_shared(self._text, start, body.text, begin, theirs)
                if count > best:
                    best, known, shift = count, body, start - begin
        if known is None or best < len(found):
            return
        self._known, self.known_size = known, known._items[key][best - 1][1] - known._places[key][0]
        found[:] = known.data[key][:best]
        spans[:] = [(a + shift, b + shift) for a, b in known._items[key][:best]]

    def _skip(self, at: int) -> int:
        return _blank(self._text, at).end()  # type: ignore[union-attr]  # it always matches

    def _expect(self, at: int, character: str) -> int:
        if self._text[at] != character:
            raise ValueError
        return self._skip(at + 1)

    def _check(self, value: Any, inside: int) -> None:
        if isinstance(value, (dict, list)):
            check_depth(value, self._depth - inside, self._depth)


def _count_shared(text: str, start: int, theirs: str, begin: int, spans: list[Span]) -> int:
    """Returns how many leading items of their list (from `begin`) are the same characters at `start` of the text."""
    if text.startswith(theirs[begin : spans[-1][1]], start):
        return len(spans)
    low, high = 0, len(spans) - 1
    while low < high:
        middle = (low + high + 1) // 2
        if text.startswith(theirs[begin : spans[middle - 1][1]], start):
            low = middle
        else:
            high = middle - 1
    return low


def _is_system(item: Any) -> bool:
    return isinstance(item, dict) and item.get("role") in ("system", "developer")


def _json(value: Any) -> str:
    return json_bytes(value).decode()


def _reject_constant(name: str) -> None:
    raise ValueError(name)
