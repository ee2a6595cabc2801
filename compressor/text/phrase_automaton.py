r"""Turns regular expressions of phrases into one automaton, which the native kernel `phrases` runs over texts.

Only what phrases need is understood: characters, sets, groups, alternatives, repetitions, `\b` and `$`. Anything else
raises ValueError, so the automaton either accepts what the expressions match or is not made.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

MAX_CLASSES = 64  # a set of classes is one machine word

#: The kinds of nodes. BOUNDARY is `\b`, and END is `$` in a text without line breaks.
SPLIT, CHARS, BOUNDARY, END, ACCEPT = range(5)

_CATEGORIES = {"w": re.compile(r"\w"), "s": re.compile(r"\s"), "d": re.compile(r"\d")}
#: A character of each class of those that no phrase names: letters, decimal digits, blanks, and the rest.
_UNNAMED = ("é", "0", "\t", "\0")
_QUANTIFIER = re.compile(r"(?:([*+?])|\{(\d+),(\d+)\})\??")
_SPECIAL = frozenset("()[]{}|*+?.^$\\")

_Emit = Callable[[int], int]  # adds the nodes of a part before the given node, and returns the first of them
_Matches = Callable[[str], bool]


class PhraseAutomaton:
    """A non-deterministic automaton for groups of named patterns, as flat tables.

    Args:
        groups: The patterns by the names of their groups and their own. Blanks in them mean nothing (re.VERBOSE).

    Raises:
        ValueError: A pattern has something that an automaton cannot do, or they name too many characters.

    Attributes:
        kinds: The kind of each node.
        chars: The classes that a CHARS node accepts, as bits; the pattern that an ACCEPT node stands for.
        first: The node after each node.
        second: The other node after a SPLIT node.
        starts: The first node of each group.
        bits: The bit that stands for each pattern.
        classes: The class of each character that a pattern names.
        unnamed: The classes of the other letters, decimal digits, blanks, and the rest.
        word_classes: The classes of letters, digits and the underscore, as bits.
    """

    def __init__(self, groups: Mapping[str, Mapping[str, str]]) -> None:
        self.kinds: list[int] = []
        self.chars: list[int] = []
        self.first: list[int] = []
        self.second: list[int] = []
        self._sets: dict[str, _Matches] = {}
        self._places: dict[str, list[int]] = {}
        self._named: set[str] = set()
        self.bits: dict[str, int] = {}
        self.starts = {name: self._add_group(patterns) for name, patterns in groups.items()}
        self.classes = {char: number for number, char in enumerate(sorted(self._named))}
        self.unnamed = tuple(range(len(self.classes), len(self.classes) + len(_UNNAMED)))
        if len(self.classes) + len(_UNNAMED) >= MAX_CLASSES:  # one is for the end of the text
            raise ValueError("the phrases name too many characters")
        members = [*sorted(self._named), *_UNNAMED]
        self.word_classes = _as_bits(members, lambda char: bool(_CATEGORIES["w"].match(char)))
        for body, matches in self._sets.items():
            bits = _as_bits(members, matches)
            for node in self._places[body]:
                self.chars[node] = bits

    def class_of(self, char: str) -> int:
        """Returns the class of a character."""
        found = self.classes.get(char)
        if found is not None:
            return found
        word, digit, blank, rest = self.unnamed
        if char.isdecimal():
            return digit
        return word if char == "_" or char.isalnum() else blank if char.isspace() else rest

    def _add(self, kind: int, chars: int = 0, first: int = -1, second: int = -1) -> int:
        self.kinds.append(kind)
        self.chars.append(chars)
        self.first.append(first)
        self.second.append(second)
        return len(self.kinds) - 1

    def _add_group(self, patterns: Mapping[str, str]) -> int:
        start = -1
        for name, pattern in patterns.items():
            self.bits[name] = bit = 1 << len(self.bits)
            part, end = self._choice(pattern, 0)
            if end != len(pattern):
                raise ValueError(f"unmatched ) in a phrase at {end}")
            node = part(self._add(ACCEPT, bit))
            start = node if start < 0 else self._add(SPLIT, 0, start, node)
        return start

    def _choice(self, pattern: str, at: int) -> tuple[_Emit, int]:
        options, parts = [], list[_Emit]()
        while at < len(pattern) and pattern[at] != ")":
            if pattern[at] == "|":
                options.append(parts)
                parts, at = [], at + 1
            elif pattern[at].isspace():
                at += 1
            else:
                part, at = self._atom(pattern, at)
                part, at = self._repeated(part, pattern, at)
                parts.append(part)
        options.append(parts)

        def emit(after: int) -> int:
            start = -1
            for option in options:
                node = after
                for part in reversed(option):
                    node = part(node)
                start = node if start < 0 else self._add(SPLIT, 0, start, node)
            return start

        return emit, at

    def _atom(self, pattern: str, at: int) -> tuple[_Emit, int]:
        char = pattern[at]
        if pattern.startswith("(?:", at):
            part, at = self._choice(pattern, at + 3)
            if at >= len(pattern):
                raise ValueError("a group in a phrase is not closed")
            return part, at + 1
        if char == "[":
            end = pattern.index("]", at + 1)
            return self._set(pattern[at + 1 : end]), end + 1
        if char == "$":
            return lambda after: self._add(END, 0, after), at + 1
        if char == "\\":
            kind = pattern[at + 1]
            if kind == "b":
                return lambda after: self._add(BOUNDARY, 0, after), at + 2
            return self._set(pattern[at : at + 2]), at + 2
        if char in _SPECIAL:
            raise ValueError(f"{pattern[at : at + 4]!r} in a phrase")
        return self._set(char), at + 1

    def _set(self, body: str) -> _Emit:
        """The characters of a set, as they stand between its brackets."""
        places = self._places.setdefault(body, [])
        if body not in self._sets:
            self._sets[body] = self._read_set(body)

        def emit(after: int) -> int:
            places.append(self._add(CHARS, 0, after))
            return places[-1]

        return emit

    def _read_set(self, body: str) -> _Matches:
        is_negated, chars, categories, at = body.startswith("^"), set[str](), [], 0
        body = body[is_negated:]
        while at < len(body):
            char = body[at]
            if char == "-" and 0 < at < len(body) - 1:
                raise ValueError(f"a range in a phrase: {body!r}")
            if char == "\\":
                at += 1
                char = body[at]
                if char.lower() in _CATEGORIES:
                    categories.append((_CATEGORIES[char.lower()], char.isupper()))
                elif char.isalnum():
                    raise ValueError(f"\\{char} in a phrase")
                else:
                    chars.add(char)
            else:
                chars.add(char)
            at += 1
        self._named |= chars

        def matches(char: str) -> bool:
            found = char in chars or any(bool(one.match(char)) != inverted for one, inverted in categories)
            return found != is_negated

        return matches

    def _repeated(self, part: _Emit, pattern: str, at: int) -> tuple[_Emit, int]:
        found = _QUANTIFIER.match(pattern, at)
        if found is None:
            return part, at
        sign, low, high = found.groups()
        least = int(low) if low else int(sign == "+")
        most = int(high) if high else 1 if sign == "?" else None

        def emit(after: int) -> int:
            node = after
            if most is None:
                node = self._add(SPLIT)
                self.first[node], self.second[node] = part(node), after
            else:
                for _ in range(most - least):
                    node = self._add(SPLIT, 0, part(node), after)
            for _ in range(least):
                node = part(node)
            return node

        return emit, found.end()


def _as_bits(members: Sequence[str], matches: _Matches) -> int:
    return sum(1 << number for number, char in enumerate(members) if matches(char))
