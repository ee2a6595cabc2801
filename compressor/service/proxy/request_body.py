"""A request's body as text and as data, and which characters of it are which message.

What nobody has changed goes on in the characters it came in: numbers, escapes, double keys inside a message, blanks.
What stood in an earlier body is not read again: its messages are the same objects here, which nobody writes to. What
was written in the place of one is not written again either. Knows JSON, and of APIs only where they keep lists of
messages.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import Any

from compressor.service.http_errors import HttpError, json_bytes
from compressor.service.request_limits import check_depth, parse

Span = tuple[int, int]
_LISTS = ("messages", "input", "tools")  # whose items are told apart
_TURNS = ("messages", "input")  # and are what an earlier body may have held
_blank = re.compile(r"[ \t\n\r]*").match


class RequestBody:
    """An object in JSON. `data` is it; `text` its characters, "" where nothing is known of their places; `first` those
    of its first message that is not the system's; `size` the bytes it came in."""

    def __init__(
        self,
        data: Any,
        text: str,
        places: dict[str, Span],
        items: dict[str, list[Span]],
        first: str = "",
        earlier: RequestBody | None = None,
    ) -> None:
        self.data, self.text, self.first, self.size = data, text, first, 0
        self._places, self._items = places, items
        #: Items that are not in here and were written last, by their ids, and what stands for them.
        self._new: dict[int, tuple[Any, str]] = {} if earlier is None else earlier._new

    def encode(self, made: dict[str, Any]) -> bytes:
        """A copy of `data` as JSON: what in it is the same object stands in the same characters. ValueError for what
        JSON has no form for."""
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
        self._new = new
        end = self.text.rindex("}")
        more = [f",{_json(key)}:{_json(value)}" for key, value in made.items() if key not in self._places]
        return "".join([*parts, self.text[at:end], *more, self.text[end:]]).encode("utf-8", "surrogatepass")

    def _value(self, key: str, made: Any, new: dict[int, tuple[Any, str]]) -> str:
        """A value of the body; what of a list's items were in the old one is copied, in as long stretches as can be,
        and others go into `new`."""
        spans = self._items.get(key)
        if spans is None or not isinstance(made, list):
            return _json(made)
        old: list[Any] = self.data[key]
        places: dict[int, int] = {}
        parts: list[str] = []
        begin = end = 0  # a stretch of the old list that is copied
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
                new[id(item)] = self._new.get(id(item)) or (item, _json(item))
                parts.append(new[id(item)][1])
                begin = end
        if begin < end:
            parts.append(self.text[spans[begin][0] : spans[end - 1][1]])
        return f"[{','.join(parts)}]"


def read_body(raw: bytes, depth: int, alike: Callable[[str], Iterable[RequestBody]]) -> RequestBody:
    """A body. `alike` gives earlier ones by the text of their first message that is not the system's. Refused (400) for
    what is no JSON or nested too deep, for what is no object, and for one that says a thing twice."""
    try:
        text = raw.decode("utf-8", "surrogatepass")
        made = _Reader(text, depth, alike).body()
    except (ValueError, IndexError, RecursionError):  # or it is in another encoding
        data = parse(raw, depth)
        if not isinstance(data, dict):
            raise HttpError(400, "no_object", "the body is no object") from None
        made = RequestBody(data, "", {}, {})
    made.size = len(raw)
    return made


class _Reader:
    def __init__(self, text: str, depth: int, alike: Callable[[str], Iterable[RequestBody]]) -> None:
        self._text, self._depth, self._alike = text, depth, alike
        self._first = ""
        self._known: RequestBody | None = None
        self._value = json.JSONDecoder(parse_constant=_no_number).raw_decode

    def body(self) -> RequestBody:
        text = self._text
        data: dict[str, Any] = {}
        places: dict[str, Span] = {}
        items: dict[str, list[Span]] = {}
        at = self._mark(self._skip(0), "{")
        while text[at] != "}":
            if places:
                at = self._mark(at, ",")
            key, at = self._value(text, at)
            start = self._mark(self._skip(at), ":")
            if not isinstance(key, str):
                raise ValueError
            if key in data:
                raise HttpError(400, "invalid_json", "the body says a thing twice")
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
        asked = key not in _TURNS
        at = self._skip(start + 1)
        while text[at] != "]":
            if found:
                at = self._mark(at, ",")
            item, stop = self._value(text, at)
            self._check(item, 2)
            found.append(item)
            spans.append((at, stop))
            if not asked and not _is_system(item):
                asked, self._first = True, text[at:stop]
                self._earlier(key, start, found, spans)
                stop = spans[-1][1]
            at = self._skip(stop)
        return found, spans, at + 1

    def _earlier(self, key: str, start: int, found: list[Any], spans: list[Span]) -> None:
        """Takes over the messages that stand in an earlier body as they stand here, from the first on."""
        best, known, shift = 0, None, 0
        for body in self._alike(self._first):
            theirs = body._items.get(key)
            if theirs:
                begin = body._places[key][0]
                count = _shared(self._text, start, body.text, begin, theirs)
                if count > best:
                    best, known, shift = count, body, start - begin
        if known is None or best < len(found):
            return
        self._known = known
        found[:] = known.data[key][:best]
        spans[:] = [(a + shift, b + shift) for a, b in known._items[key][:best]]

    def _skip(self, at: int) -> int:
        return _blank(self._text, at).end()  # type: ignore[union-attr]  # it always matches

    def _mark(self, at: int, mark: str) -> int:
        if self._text[at] != mark:
            raise ValueError
        return self._skip(at + 1)

    def _check(self, value: Any, inside: int) -> None:
        if isinstance(value, (dict, list)):
            check_depth(value, self._depth - inside, self._depth)


def _shared(text: str, start: int, theirs: str, begin: int, spans: list[Span]) -> int:
    """How many items of a list at `begin` stand at `start` too, from the first on."""
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


def _no_number(name: str) -> None:
    raise ValueError(name)
