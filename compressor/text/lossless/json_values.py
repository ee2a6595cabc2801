"""Reads JSON without changing what it says: numbers keep their letters, and a repeated key keeps all its values."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from compressor.native import load_kernel

MAX_INT_DIGITS = 19  # longer integers are kept as text: other readers would round them, and Python is slow to read them


class NumberText(str):
    """A number that Python would write otherwise than the source (`1.10`, `1E5`, 20 digits), or NaN or Infinity."""

    __slots__ = ()


class RepeatedKeys:
    """An object in which a key occurs more than once.

    Attributes:
        pairs: The members in order.
    """

    __slots__ = ("pairs",)

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        self.pairs = pairs

    def items(self) -> Iterator[tuple[str, Any]]:
        """Yields every member, like `dict.items`."""
        return iter(self.pairs)


def read_float(text: str) -> float | NumberText:
    """Returns the number, or its text if Python would write it otherwise."""
    number = float(text)
    return number if repr(number) == text else NumberText(text)


def read_int(text: str) -> int | NumberText:
    """Returns the number, or its text if Python would write it otherwise or if it is long."""
    return NumberText(text) if len(text) > MAX_INT_DIGITS or text == "-0" else int(text)


def read_object(pairs: list[tuple[str, Any]]) -> dict[str, Any] | RepeatedKeys:
    """Returns the object with these members."""
    members = dict(pairs)
    return members if len(members) == len(pairs) else RepeatedKeys(pairs)


_kernel = load_kernel("json_values")
_reader = _kernel and _kernel.ValueReader(NumberText, RepeatedKeys, MAX_INT_DIGITS)
DECODER = json.JSONDecoder(
    parse_float=read_float,
    parse_int=_reader.read_int if _reader else read_int,
    parse_constant=NumberText,
    object_pairs_hook=_reader.read_object if _reader else read_object,
)


def load_json(text: str) -> Any:
    """Returns the value of a JSON text; raises ValueError or RecursionError. NaN and Infinity are accepted."""
    return DECODER.decode(text)


def _refuse(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


def parses_strictly(text: str) -> bool:
    """Returns whether any JSON parser reads the text: NaN and Infinity are no JSON."""
    try:
        json.loads(text, parse_constant=_refuse, parse_int=str)
    except (ValueError, RecursionError):
        return False
    return True


def canonical(value: Any) -> str:
    """Returns a text that is the same for values that say the same: spacing and the order of keys do not count."""
    kind = type(value)
    if kind is NumberText:
        return str(value)
    if kind is dict:
        return "{" + ",".join(sorted(_members(value.items()))) + "}"
    if kind is RepeatedKeys:
        return "{" + ",".join(_members(value.items())) + "}"
    if kind is list:
        return "[" + ",".join(map(canonical, value)) + "]"
    return json.dumps(value)


def _members(pairs: Iterable[tuple[str, Any]]) -> list[str]:
    return [f"{json.dumps(key)}:{canonical(value)}" for key, value in pairs]


def say_same(one: Any, other: Any) -> bool:
    """Returns whether two values have the same canonical text, mostly without writing it."""
    return _are_equal(one, other) or canonical(one) == canonical(other)


def _are_equal(one: Any, other: Any) -> bool:
    """Returns whether two values are of the same types and equal. False also where that is not clear."""
    kind = type(one)
    if kind is not type(other):
        return False
    if kind is dict:
        return len(one) == len(other) and all(k in other and _are_equal(v, other[k]) for k, v in one.items())
    if kind is list:
        return len(one) == len(other) and all(map(_are_equal, one, other))
    return repr(one) == repr(other) if kind is float else kind in _PLAIN and bool(one == other)


_PLAIN = frozenset((str, NumberText, int, bool, type(None)))  # equal values are written alike, unlike 0.0 and -0.0
